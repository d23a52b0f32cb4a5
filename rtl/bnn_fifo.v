// First-in first-out queue; cuts every combinational path between its sides.
// One word a cycle in and out; the head is visible one cycle after its write at the earliest.
`default_nettype none
module bnn_fifo #(
    parameter DATA_W = 8,  // bits of a word
    parameter N_WORDS = 2,  // words held, at least 2
    parameter ADDR_W = 1  // bits of an index, at least log2(N_WORDS)
) (
    input wire clk,
    input wire rst,
    input wire [DATA_W-1:0] s_data,
    input wire s_valid,
    output wire s_ready,
    output wire [DATA_W-1:0] m_data,
    output wire m_valid,
    input wire m_ready
);
  localparam [ADDR_W:0] FULL = N_WORDS[ADDR_W:0];
  localparam [ADDR_W-1:0] LAST = N_WORDS[ADDR_W-1:0] - 1'b1;
  reg [DATA_W-1:0] mem[0:N_WORDS-1];  // read at once, so registers or LUT memory
  reg [ADDR_W-1:0] w_addr_q, r_addr_q;
  reg [ADDR_W:0] count_q;
  wire push = s_valid && s_ready;
  wire pop = m_valid && m_ready;
  assign s_ready = count_q != FULL;
  assign m_valid = count_q != 0;
  assign m_data = mem[r_addr_q];
  always @(posedge clk) begin
    if (push) begin
      mem[w_addr_q] <= s_data;
      w_addr_q <= w_addr_q == LAST ? {ADDR_W{1'b0}} : w_addr_q + 1'b1;
    end
    if (pop) r_addr_q <= r_addr_q == LAST ? {ADDR_W{1'b0}} : r_addr_q + 1'b1;
    if (push && !pop) count_q <= count_q + 1'b1;
    if (pop && !push) count_q <= count_q - 1'b1;
    if (rst) begin
      w_addr_q <= 0;
      r_addr_q <= 0;
      count_q <= 0;
    end
  end
endmodule
`default_nettype wire
