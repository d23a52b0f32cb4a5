// Marks the last beat of every frame: tlast, and tkeep of its bytes.
`default_nettype none
module bnn_last #(
    parameter DATA_W = 8,  // bits of a beat, a multiple of 8
    parameter N_BEATS = 2,  // beats of a frame
    parameter [DATA_W/8-1:0] KEEP = 1,  // tkeep of the last beat
    parameter BEAT_W = 1  // bits of an index of beats
) (
    input wire clk,
    input wire rst,
    input wire [DATA_W-1:0] s_data,
    input wire s_valid,
    output wire s_ready,
    output wire [DATA_W-1:0] m_tdata,
    output wire [DATA_W/8-1:0] m_tkeep,
    output wire m_tlast,
    output wire m_tvalid,
    input wire m_tready
);
  localparam [BEAT_W-1:0] LAST = N_BEATS[BEAT_W-1:0] - 1'b1;
  reg [BEAT_W-1:0] beat_q;
  assign m_tdata = s_data;
  assign m_tvalid = s_valid;
  assign s_ready = m_tready;
  assign m_tlast = beat_q == LAST;
  assign m_tkeep = m_tlast ? KEEP : {DATA_W / 8{1'b1}};
  always @(posedge clk) begin
    if (s_valid && m_tready) beat_q <= m_tlast ? {BEAT_W{1'b0}} : beat_q + 1'b1;
    if (rst) beat_q <= 0;
  end
endmodule
`default_nettype wire
