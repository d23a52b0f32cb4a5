// Handshake of a pipeline whose registers move together.
// A beat leaves LATENCY cycles with en after it came; en is low while the last register waits for its reader.
`default_nettype none
module bnn_pipe #(
    parameter LATENCY = 1  // registers
) (
    input wire clk,
    input wire rst,
    input wire s_valid,
    output wire s_ready,
    output wire m_valid,
    input wire m_ready,
    output wire en
);
  reg [LATENCY-1:0] valid_q;
  integer k;
  assign en = !valid_q[LATENCY-1] || m_ready;
  assign s_ready = en;
  assign m_valid = valid_q[LATENCY-1];
  always @(posedge clk) begin
    if (en) begin
      valid_q[0] <= s_valid;
      for (k = 1; k < LATENCY; k = k + 1) valid_q[k] <= valid_q[k-1];
    end
    if (rst) valid_q <= 0;
  end
endmodule
`default_nettype wire
