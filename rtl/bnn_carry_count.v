// Sum of seven bits, or of five and one of weight 2, on a carry chain of two positions.
// sum = number of ones in i, with TWO i[3] being 2; bits of INVERTED count where they are 0.
// With BNNHW_CARRY=4 (7 series) or BNNHW_CARRY=8 (UltraScale+) it is two LUT6_2 and a chain, Xilinx' primitives.
// Keeps its hierarchy, as bnn_luts does.
`default_nettype none
(* keep_hierarchy *)
module bnn_carry_count #(
    parameter TWO = 0,  // whether there are six bits, of which i[3] has weight 2
    parameter [4:0] INVERTED = 0  // among all but the last two
) (
    input wire [6-TWO:0] i,
    output wire [2:0] sum
);
  // The LUTs count all but the last two; of these one enters at the first position, the other as its carry.
  wire [4:0] x = TWO == 1 ? {1'b0, i[3:0]} : i[4:0];
  function [2:0] counted;
    input [4:0] bits;
    counted = {2'b0, bits[0]} + {2'b0, bits[1]} + {2'b0, bits[2]} + (TWO == 1 ? {1'b0, bits[3], 1'b0} : {2'b0, bits[3]} + {2'b0, bits[4]});
  endfunction
`ifdef BNNHW_CARRY
  // Truth tables over x: whether the count is odd, 2 or 3, and 4 or 5.
  function [31:0] among;
    input [7:0] counts;
    integer v;
    for (v = 0; v < 32; v = v + 1) among[v] = counts[counted(v[4:0]^INVERTED)];
  endfunction
  localparam [31:0] ODD = among(8'b10101010);
  localparam [31:0] ONE = among(8'b00001100);
  localparam [31:0] TWOS = among(8'b00110000);
  wire [1:0] s, d;
  LUT6_2 #(.INIT({~ODD, ODD})) u_low (
      .I0(x[0]), .I1(x[1]), .I2(x[2]), .I3(x[3]), .I4(x[4]), .I5(i[5-TWO]), .O6(s[0]), .O5(d[0])
  );
  LUT6_2 #(.INIT({ONE, TWOS})) u_high (.I0(x[0]), .I1(x[1]), .I2(x[2]), .I3(x[3]), .I4(x[4]), .I5(1'b1), .O6(s[1]), .O5(d[1]));
  wire [`BNNHW_CARRY-1:0] o, c;
  generate
    if (`BNNHW_CARRY == 4) begin : g_carry4
      CARRY4 u_chain (.CI(1'b0), .CYINIT(i[6-TWO]), .DI({2'b0, d}), .S({2'b0, s}), .O(o), .CO(c));
    end else begin : g_carry8
      CARRY8 #(.CARRY_TYPE("SINGLE_CY8")) u_chain (.CI(i[6-TWO]), .CI_TOP(1'b0), .DI({6'b0, d}), .S({6'b0, s}), .O(o), .CO(c));
    end
  endgenerate
  assign sum = {c[1], o[1:0]};
`else
  assign sum = counted(x ^ INVERTED) + {2'b0, i[5-TWO]} + {2'b0, i[6-TWO]};
`endif
endmodule
`default_nettype wire
