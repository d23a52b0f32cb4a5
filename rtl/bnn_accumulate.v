// Weighted sums of signed numbers: m[pe] = sum over N_PARTS beats and N_LANES lanes of SCALES[part][lane] * s[pe][lane].
// One beat a cycle in, one out every N_PARTS. Lane 0 of PE 0 in the low bits. Sums wrap on the way, not at the end.
`default_nettype none
module bnn_accumulate #(
    parameter PE = 1,  // sums of a beat
    parameter N_LANES = 1,  // numbers of a beat that add up to one sum
    parameter N_PARTS = 2,  // beats of a sum
    parameter IN_W = 8,  // bits of a number
    parameter OUT_W = 9,  // bits of a sum, at least IN_W and SCALE_W
    parameter SCALE_W = 2,  // bits of a signed scale
    parameter [N_PARTS*N_LANES*SCALE_W-1:0] SCALES = 5,  // scales, lane by lane, part by part
    parameter PART_W = 1  // bits of an index of parts
) (
    input wire clk,
    input wire rst,
    input wire [PE*N_LANES*IN_W-1:0] s_data,
    input wire s_valid,
    output wire s_ready,
    output wire [PE*OUT_W-1:0] m_data,
    output wire m_valid,
    input wire m_ready
);
  localparam [PART_W-1:0] LAST_PART = N_PARTS[PART_W-1:0] - 1'b1;
  localparam PART_SCALES_W = N_LANES * SCALE_W;
  reg [PART_W-1:0] part_q;
  reg valid_q;
  wire take = s_valid && s_ready;
  assign s_ready = !valid_q || m_ready;
  assign m_valid = valid_q;
  always @(posedge clk) begin
    if (take) part_q <= part_q == LAST_PART ? {PART_W{1'b0}} : part_q + 1'b1;
    if (s_ready) valid_q <= s_valid && part_q == LAST_PART;
    if (rst) begin
      part_q <= 0;
      valid_q <= 1'b0;
    end
  end
  wire [PART_SCALES_W-1:0] scales;
  generate
    if (N_PARTS == 1) begin : g_one_part
      assign scales = SCALES;
    end else begin : g_parts
      assign scales = SCALES[part_q*PART_SCALES_W+:PART_SCALES_W];
    end
  endgenerate
  genvar p, l, b;
  generate
    for (p = 0; p < PE; p = p + 1) begin : g_pe
      wire [OUT_W-1:0] partial[0:N_LANES];
      reg [OUT_W-1:0] sum_q;
      assign partial[0] = part_q == 0 ? {OUT_W{1'b0}} : sum_q;
      for (l = 0; l < N_LANES; l = l + 1) begin : g_lane
        wire [OUT_W-1:0] number, scale;
        for (b = 0; b < OUT_W; b = b + 1) begin : g_extend
          assign number[b] = s_data[(p*N_LANES+l)*IN_W+(b<IN_W?b : IN_W-1)];
          assign scale[b] = scales[l*SCALE_W+(b<SCALE_W?b : SCALE_W-1)];
        end
        assign partial[l+1] = partial[l] + number * scale;
      end
      always @(posedge clk) if (take) sum_q <= partial[N_LANES];
      assign m_data[p*OUT_W+:OUT_W] = sum_q;
    end
  endgenerate
endmodule
`default_nettype wire
