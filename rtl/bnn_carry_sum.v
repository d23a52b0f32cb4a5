// Adder on a carry chain.
// sum = a + b + carry
// Keeps its hierarchy, as bnn_luts does.
`default_nettype none
(* keep_hierarchy *)
module bnn_carry_sum #(
    parameter N_BITS = 2  // of each summand
) (
    input wire [N_BITS-1:0] a,
    input wire [N_BITS-1:0] b,
    input wire carry,
    output wire [N_BITS:0] sum
);
  assign sum = {1'b0, a} + {1'b0, b} + {{N_BITS{1'b0}}, carry};
endmodule
`default_nettype wire
