// Read-only memory with a registered output.
// q <= word[addr] when en; contents from FILE, one hexadecimal word a line.
`default_nettype none
module bnn_rom #(
    parameter DATA_W = 8,  // bits of a word
    parameter N_WORDS = 2,  // words, at least 1
    parameter ADDR_W = 1,  // bits of the address, at least log2(N_WORDS)
    parameter FILE = ""  // memory file; empty fills it with zeros
) (
    input wire clk,
    input wire en,
    input wire [ADDR_W-1:0] addr,
    output reg [DATA_W-1:0] q
);
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
