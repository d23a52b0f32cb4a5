// Beats of two streams in turn: N_A of a, then N_B of b, numbers widened by their sign where OUT_W is more.
// One beat a cycle, one cycle later.
`default_nettype none
module bnn_concat #(
    parameter LANES = 1,  // elements of a beat
    parameter A_W = 1,  // bits of an element of a
    parameter B_W = 1,  // bits of an element of b
    parameter OUT_W = 1,  // bits of an element, at least A_W and B_W
    parameter N_A = 1,  // beats of a
    parameter N_B = 1,  // beats of b
    parameter BEAT_W = 1  // bits of an index of beats of both
) (
    input wire clk,
    input wire rst,
    input wire [LANES*A_W-1:0] a_data,
    input wire a_valid,
    output wire a_ready,
    input wire [LANES*B_W-1:0] b_data,
    input wire b_valid,
    output wire b_ready,
    output wire [LANES*OUT_W-1:0] m_data,
    output wire m_valid,
    input wire m_ready
);
  localparam integer N_BOTH = N_A + N_B;
  localparam [BEAT_W-1:0] FIRST_B = N_A[BEAT_W-1:0];
  localparam [BEAT_W-1:0] LAST = N_BOTH[BEAT_W-1:0] - 1'b1;
  reg [BEAT_W-1:0] beat_q;
  reg valid_q;
  wire from_b = beat_q >= FIRST_B;
  wire advance = !valid_q || m_ready;
  wire take = advance && (from_b ? b_valid : a_valid);
  assign a_ready = advance && !from_b;
  assign b_ready = advance && from_b;
  assign m_valid = valid_q;
  always @(posedge clk) begin
    if (take) beat_q <= beat_q == LAST ? {BEAT_W{1'b0}} : beat_q + 1'b1;
    if (advance) valid_q <= take;
    if (rst) begin
      beat_q <= 0;
      valid_q <= 1'b0;
    end
  end
  genvar i, n;
  generate
    for (i = 0; i < LANES; i = i + 1) begin : g_lane
      wire [OUT_W-1:0] a, b;
      for (n = 0; n < OUT_W; n = n + 1) begin : g_extend
        assign a[n] = a_data[i*A_W+(n<A_W?n : A_W-1)];
        assign b[n] = b_data[i*B_W+(n<B_W?n : B_W-1)];
      end
      reg [OUT_W-1:0] element_q;
      always @(posedge clk) if (take) element_q <= from_b ? b : a;
      assign m_data[i*OUT_W+:OUT_W] = element_q;
    end
  endgenerate
endmodule
`default_nettype wire
