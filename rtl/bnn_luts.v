// Lookup tables of the same inputs.
// o[k] = TABLES[k][i]: bit i of table k; table 0 in the low bits
// Keeps its hierarchy: Yosys would mix what is mapped together, and make half as many LUTs more of a sum of bits.
`default_nettype none
(* keep_hierarchy *)
module bnn_luts #(
    parameter N_IN = 1,  // inputs
    parameter N_OUT = 1,  // tables
    parameter [(N_OUT<<N_IN)-1:0] TABLES = 1  // truth tables
) (
    input wire [N_IN-1:0] i,
    output wire [N_OUT-1:0] o
);
  genvar k;
  generate
    for (k = 0; k < N_OUT; k = k + 1) begin : g_table
      localparam [(1<<N_IN)-1:0] TABLE = TABLES[k<<N_IN+:1<<N_IN];
      assign o[k] = TABLE[i];
    end
  endgenerate
endmodule
`default_nettype wire
