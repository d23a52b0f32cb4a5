// Read-only memory with a registered output.
// q <= word[addr] when en; contents from FILE, one hexadecimal word a line.
// Instances of several words keep their hierarchy: mapped together with what reads them, Yosys makes up to five times as many LUTs of them.
`default_nettype none
module bnn_rom #(
    parameter DATA_W = 8,  // bits of a word
    parameter N_WORDS = 2,  // words, at least 1
    parameter ADDR_W = 1,  // bits of the address, at least log2(N_WORDS)
    /* verilator lint_off UNUSEDPARAM */  // an attribute only
    parameter STYLE = "auto",  // "block" or "distributed": what it is made of; "auto": as the tool likes
    /* verilator lint_on UNUSEDPARAM */
    parameter FILE = ""  // memory file; empty fills it with zeros
) (
    input wire clk,
    input wire en,
    input wire [ADDR_W-1:0] addr,
    output reg [DATA_W-1:0] q
);
`ifdef YOSYS  // which calls a ROM of LUTs logic
  (* rom_style = STYLE == "distributed" ? "logic" : STYLE *)
`else
  (* rom_style = STYLE *)
`endif
  reg [DATA_W-1:0] mem[0:N_WORDS-1];
  generate
    if (FILE != "") begin : g_contents
      initial $readmemh(FILE, mem);
    end else begin : g_empty
      integer i;
      initial for (i = 0; i < N_WORDS; i = i + 1) mem[i] = 0;
    end
  endgenerate
  always @(posedge clk) if (en) q <= mem[addr];
endmodule
`default_nettype wire
