// Lets frames in, but none from its first beat on while it holds; tells when all that came in have left.
// left: a frame's last beat leaves the network; frames: how many did since reset; idle: held, and none is inside.
// No delay: a beat passes in the cycle in which it comes. An offer that stands is not withdrawn: its frame still goes in.
`default_nettype none
module bnn_hold #(
    parameter DATA_W = 8,  // bits of a beat
    parameter N_BEATS = 2,  // beats of a frame
    parameter BEAT_W = 1  // bits of an index of beats
) (
    input wire clk,
    input wire rst,
    input wire [DATA_W-1:0] s_data,
    input wire s_valid,
    output wire s_ready,
    output wire [DATA_W-1:0] m_data,
    output wire m_valid,
    input wire m_ready,
    input wire hold,
    input wire left,
    output wire idle,
    output reg [31:0] frames
);
  localparam [BEAT_W-1:0] LAST = N_BEATS[BEAT_W-1:0] - 1'b1;
  reg [BEAT_W-1:0] beat_q;
  reg [31:0] entered_q;
  reg held_q;
  wire last = beat_q == LAST;
  wire take = m_valid && m_ready;
  wire between = take ? last : beat_q == 0 && !m_valid;  // no frame has begun, and none is offered
  assign m_data = s_data;
  assign m_valid = s_valid && !held_q;
  assign s_ready = m_ready && !held_q;
  assign idle = held_q && entered_q == frames;
  always @(posedge clk) begin
    if (take) begin
      beat_q <= last ? {BEAT_W{1'b0}} : beat_q + 1'b1;
      if (last) entered_q <= entered_q + 1'b1;
    end
    if (left) frames <= frames + 1'b1;
    held_q <= hold && between;
    if (rst) begin
      beat_q <= 0;
      entered_q <= 0;
      frames <= 0;
      held_q <= 1'b0;
    end
  end
endmodule
`default_nettype wire
