// Sends the planes of each beat in N_TURNS beats of M_PLANES planes, the lowest first; planes beyond S_PLANES are 0.
// One beat a cycle out.
`default_nettype none
module bnn_turns #(
    parameter LANES = 1,  // elements of a beat
    parameter S_PLANES = 2,  // planes of a beat in
    parameter M_PLANES = 1,  // planes of a beat out
    parameter N_TURNS = 2,  // beats out for one in, at least 2
    parameter TURN_W = 1  // bits of an index of turns
) (
    input wire clk,
    input wire rst,
    input wire [S_PLANES*LANES-1:0] s_data,
    input wire s_valid,
    output wire s_ready,
    output wire [M_PLANES*LANES-1:0] m_data,
    output wire m_valid,
    input wire m_ready
);
  localparam [TURN_W-1:0] LAST_TURN = N_TURNS[TURN_W-1:0] - 1'b1;
  localparam OUT_W = M_PLANES * LANES;
  reg [TURN_W-1:0] turn_q;
  wire last_turn = turn_q == LAST_TURN;
  wire [N_TURNS*OUT_W-1:0] all;
  assign m_valid = s_valid;
  assign s_ready = m_ready && last_turn;
  assign m_data = all[turn_q*OUT_W+:OUT_W];
  always @(posedge clk) begin
    if (s_valid && m_ready) turn_q <= last_turn ? {TURN_W{1'b0}} : turn_q + 1'b1;
    if (rst) turn_q <= 0;
  end
  genvar q;
  generate
    for (q = 0; q < N_TURNS * M_PLANES; q = q + 1) begin : g_plane
      if (q < S_PLANES) begin : g_own
        assign all[q*LANES+:LANES] = s_data[q*LANES+:LANES];
      end else begin : g_spare
        assign all[q*LANES+:LANES] = {LANES{1'b0}};
      end
    end
  endgenerate
endmodule
`default_nettype wire
