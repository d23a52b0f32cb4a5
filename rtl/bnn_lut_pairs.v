// Lookup tables of the same inputs, of which there are few enough that two tables share a LUT.
// o[k] = TABLES[k][i]: bit i of table k; table 0 in the low bits
// With BNNHW_CARRY=4 (7 series) or BNNHW_CARRY=8 (UltraScale+) two tables are a LUT6_2, Xilinx' primitive.
// Keeps its hierarchy, as bnn_luts does.
`default_nettype none
(* keep_hierarchy *)
module bnn_lut_pairs #(
    parameter N_IN = 1,  // inputs, at most 5
    parameter N_OUT = 2,  // tables, at least 2
    parameter [(N_OUT<<N_IN)-1:0] TABLES = 1  // truth tables
) (
    input wire [N_IN-1:0] i,
    output wire [N_OUT-1:0] o
);
`ifdef BNNHW_CARRY
  localparam N_PAIRS = N_OUT / 2;
  wire [4:0] x = {5'b0, i};
`else
  localparam N_PAIRS = 0;
`endif
  genvar k;
  generate
`ifdef BNNHW_CARRY
    for (k = 0; k < N_PAIRS; k = k + 1) begin : g_pair
      localparam [31:0] LOW = {(32 >> N_IN) {TABLES[2*k<<N_IN+:1<<N_IN]}};
      localparam [31:0] HIGH = {(32 >> N_IN) {TABLES[2*k+1<<N_IN+:1<<N_IN]}};
      LUT6_2 #(.INIT({HIGH, LOW})) u_pair (
          .I0(x[0]), .I1(x[1]), .I2(x[2]), .I3(x[3]), .I4(x[4]), .I5(1'b1), .O6(o[2*k+1]), .O5(o[2*k])
      );
    end
`endif
    for (k = 2 * N_PAIRS; k < N_OUT; k = k + 1) begin : g_table
      localparam [(1<<N_IN)-1:0] TABLE = TABLES[k<<N_IN+:1<<N_IN];
      assign o[k] = TABLE[i];
    end
  endgenerate
endmodule
`default_nettype wire
