// Number of lanes that count: whose weight and input agree, or are both 1, or agree where the mask is 1.
// count = popcount(gate(weight, x)), after LATENCY cycles with en; masks stand above the weights
`default_nettype none
module bnn_popcount #(
    parameter N_BITS = 8,  // lanes
    parameter COUNT_W = 4,  // bits of the count, enough for N_BITS
    parameter GATE = 0,  // 0: weight xnor x; 1: weight and x; 2: mask and (weight xnor x)
    parameter WEIGHT_W = 8,  // bits of weights and masks
    parameter LATENCY = 0  // registers on the way
) (
    input wire clk,
    input wire en,
    input wire [N_BITS-1:0] x,
    input wire [WEIGHT_W-1:0] weight,
    output wire [COUNT_W-1:0] count
);
  wire [N_BITS-1:0] hits;
  generate
    if (GATE == 0) begin : g_xnor
      assign hits = weight ~^ x;
    end else if (GATE == 1) begin : g_and
      assign hits = weight & x;
    end else begin : g_masked
      assign hits = weight[N_BITS+:N_BITS] & (weight[0+:N_BITS] ~^ x);
    end
  endgenerate

  reg [COUNT_W-1:0] ones;
  integer i;
  always @* begin
    ones = 0;
    for (i = 0; i < N_BITS; i = i + 1) ones = ones + {{COUNT_W - 1{1'b0}}, hits[i]};
  end

  generate
    if (LATENCY == 0) begin : g_at_once
      assign count = ones;
      wire unused = clk & en;
    end else begin : g_later
      reg [LATENCY*COUNT_W-1:0] count_q;
      integer k;
      always @(posedge clk) begin
        if (en) begin
          count_q[0+:COUNT_W] <= ones;
          for (k = 1; k < LATENCY; k = k + 1) count_q[k*COUNT_W+:COUNT_W] <= count_q[(k-1)*COUNT_W+:COUNT_W];
        end
      end
      assign count = count_q[(LATENCY-1)*COUNT_W+:COUNT_W];
    end
  endgenerate
endmodule
`default_nettype wire
