// A function of each number by lookup in a ROM: m[i] = entry[s[i]].
// One beat a cycle, one cycle later; entries lie at the number's bits read without a sign.
`default_nettype none
module bnn_table #(
    parameter LANES = 1,  // numbers of a beat
    parameter IN_W = 8,  // bits of a number
    parameter OUT_W = 8,  // bits of an entry
    parameter FILE = ""  // entries
) (
    input wire clk,
    input wire rst,
    input wire [LANES*IN_W-1:0] s_data,
    input wire s_valid,
    output wire s_ready,
    output wire [LANES*OUT_W-1:0] m_data,
    output wire m_valid,
    input wire m_ready
);
  reg valid_q;
  wire advance = !valid_q || m_ready;
  assign s_ready = advance;
  assign m_valid = valid_q;
  always @(posedge clk) begin
    if (advance) valid_q <= s_valid;
    if (rst) valid_q <= 1'b0;
  end
  genvar i;
  generate
    for (i = 0; i < LANES; i = i + 1) begin : g_lane
      (* keep_hierarchy *)
      bnn_rom #(
          .DATA_W(OUT_W),
          .N_WORDS(1 << IN_W),
          .ADDR_W(IN_W),
          .FILE(FILE)
      ) u_entries (
          .clk(clk),
          .en(s_valid && advance),
          .addr(s_data[i*IN_W+:IN_W]),
          .q(m_data[i*OUT_W+:OUT_W])
      );
    end
  endgenerate
endmodule
`default_nettype wire
