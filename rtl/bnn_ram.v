// Memory with one write port and one read port; the read is registered.
// q <= word[r_addr] when r_en; a word written in the same cycle is not seen yet. Contents at the start are those of FILE, if any.
`default_nettype none
module bnn_ram #(
    parameter DATA_W = 8,  // bits of a word
    parameter N_WORDS = 2,  // words, at least 2
    parameter ADDR_W = 1,  // bits of the address, at least log2(N_WORDS)
    /* verilator lint_off UNUSEDPARAM */  // an attribute only
    parameter STYLE = "auto",  // "block" or "distributed": what it is made of; "auto": as the tool likes
    /* verilator lint_on UNUSEDPARAM */
    parameter FILE = ""  // memory file, one hexadecimal word a line
) (
    input wire clk,
    input wire w_en,
    input wire [ADDR_W-1:0] w_addr,
    input wire [DATA_W-1:0] w_data,
    input wire r_en,
    input wire [ADDR_W-1:0] r_addr,
    output reg [DATA_W-1:0] q
);
  (* ram_style = STYLE *) reg [DATA_W-1:0] mem[0:N_WORDS-1];
  generate
    if (FILE != "") begin : g_contents
      initial $readmemh(FILE, mem);
    end
  endgenerate
  always @(posedge clk) begin
    if (w_en) mem[w_addr] <= w_data;
    if (r_en) q <= mem[r_addr];
  end
endmodule
`default_nettype wire
