// Dot product of one row and a beat of several planes: popcounts summed at once; designs bring a netlist in its place.
// dot = sum over planes q of COEFFS[q] * popcount(gate(weight, x[q])), after LATENCY cycles with en; it wraps
`default_nettype none
module bnn_dot #(
    parameter N_BITS = 8,  // lanes
    parameter PLANES = 2,  // plane 0 of all lanes in the low bits of x
    parameter SUM_W = 8,  // bits of the signed sum, more than those of a popcount up to N_BITS
    parameter [PLANES*SUM_W-1:0] COEFFS = 1,  // signed coefficient of each plane
    parameter GATE = 0,  // as in bnn_popcount
    parameter WEIGHT_W = 8,  // bits of weights and masks
    parameter LATENCY = 0  // registers on the way
) (
    input wire clk,
    input wire en,
    input wire [PLANES*N_BITS-1:0] x,
    input wire [WEIGHT_W-1:0] weight,
    output wire [SUM_W-1:0] dot
);
  wire [SUM_W-1:0] sum[0:PLANES];
  assign sum[0] = 0;
  assign dot = sum[PLANES];
  genvar q;
  generate
    for (q = 0; q < PLANES; q = q + 1) begin : g_plane
      wire [SUM_W-2:0] count;
      bnn_popcount #(
          .N_BITS(N_BITS),
          .COUNT_W(SUM_W - 1),
          .GATE(GATE),
          .WEIGHT_W(WEIGHT_W),
          .LATENCY(LATENCY)
      ) u_popcount (
          .clk(clk),
          .en(en),
          .x(x[q*N_BITS+:N_BITS]),
          .weight(weight),
          .count(count)
      );
      assign sum[q+1] = sum[q] + COEFFS[q*SUM_W+:SUM_W] * {1'b0, count};
    end
  endgenerate
endmodule
`default_nettype wire
