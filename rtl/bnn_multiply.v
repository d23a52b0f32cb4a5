// Product of two streams of signed numbers: m[i] = a[i] * b[i], or a[i] * b[0] where b is shared.
// One beat a cycle, one cycle later; a beat leaves each side when both have one.
`default_nettype none
module bnn_multiply #(
    parameter LANES = 1,  // numbers of a beat
    parameter B_SHARED = 0,  // whether a beat of b is one number for all lanes
    parameter A_W = 8,  // bits of a number of a
    parameter B_W = 8,  // bits of a number of b
    parameter OUT_W = 16  // bits of a product, at least A_W and B_W
) (
    input wire clk,
    input wire rst,
    input wire [LANES*A_W-1:0] a_data,
    input wire a_valid,
    output wire a_ready,
    input wire [(B_SHARED==1?1:LANES)*B_W-1:0] b_data,
    input wire b_valid,
    output wire b_ready,
    output wire [LANES*OUT_W-1:0] m_data,
    output wire m_valid,
    input wire m_ready
);
  reg valid_q;
  wire advance = !valid_q || m_ready;
  wire take = a_valid && b_valid && advance;
  assign a_ready = b_valid && advance;
  assign b_ready = a_valid && advance;
  assign m_valid = valid_q;
  always @(posedge clk) begin
    if (advance) valid_q <= take;
    if (rst) valid_q <= 1'b0;
  end
  genvar i, n;
  generate
    for (i = 0; i < LANES; i = i + 1) begin : g_lane
      localparam integer FIRST = B_SHARED == 1 ? 0 : i * B_W;
      wire [OUT_W-1:0] a, b;
      for (n = 0; n < OUT_W; n = n + 1) begin : g_extend
        assign a[n] = a_data[i*A_W+(n<A_W?n : A_W-1)];
        assign b[n] = b_data[FIRST+(n<B_W?n : B_W-1)];
      end
      reg [OUT_W-1:0] product_q;
      always @(posedge clk) if (take) product_q <= a * b;
      assign m_data[i*OUT_W+:OUT_W] = product_q;
    end
  endgenerate
endmodule
`default_nettype wire
