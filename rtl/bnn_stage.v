// Registers of a pipeline stage.
// q <= d when en
`default_nettype none
module bnn_stage #(
    parameter N_BITS = 1  // registers
) (
    input wire clk,
    input wire en,
    input wire [N_BITS-1:0] d,
    output wire [N_BITS-1:0] q
);
  reg [N_BITS-1:0] held_q;
  assign q = held_q;
  always @(posedge clk) if (en) held_q <= d;
endmodule
`default_nettype wire
