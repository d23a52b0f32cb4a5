// Maximum of N_TAPS consecutive beats, lane by lane; codes compare as numbers, signed or not, or by their ranks.
// One beat a cycle in, one out every N_TAPS cycles.
`default_nettype none
module bnn_pool #(
    parameter LANES = 1,  // elements of a beat
    parameter PLANES = 1,  // bits of an element
    parameter ORDER = 0,  // codes compare as: 0 unsigned numbers; 1 two's complement numbers; 2 their RANKS
    parameter RANK_W = 1,  // bits of a rank
    parameter [(ORDER==2?RANK_W<<PLANES:1)-1:0] RANKS = 0,  // rank of every code
    parameter N_TAPS = 4,  // beats of a window
    parameter TAP_W = 2  // bits of an index of taps
) (
    input wire clk,
    input wire rst,
    input wire [PLANES*LANES-1:0] s_data,
    input wire s_valid,
    output wire s_ready,
    output wire [PLANES*LANES-1:0] m_data,
    output wire m_valid,
    input wire m_ready
);
  localparam [TAP_W-1:0] LAST_TAP = N_TAPS[TAP_W-1:0] - 1'b1;
  reg [TAP_W-1:0] tap_q;
  reg [PLANES*LANES-1:0] best_q;
  wire [PLANES*LANES-1:0] best;
  reg valid_q;
  wire take = s_valid && s_ready;
  assign s_ready = !valid_q || m_ready;
  assign m_data = best_q;
  assign m_valid = valid_q;
  always @(posedge clk) begin
    if (take) begin
      best_q <= best;
      tap_q <= tap_q == LAST_TAP ? {TAP_W{1'b0}} : tap_q + 1'b1;
    end
    if (s_ready) valid_q <= s_valid && tap_q == LAST_TAP;
    if (rst) begin
      tap_q <= 0;
      valid_q <= 1'b0;
    end
  end
  genvar i, q;
  generate
    for (i = 0; i < LANES; i = i + 1) begin : g_lane
      wire [PLANES-1:0] held, next;
      wire greater;
      if (ORDER == 2) begin : g_ranked
        assign greater = RANKS[next*RANK_W+:RANK_W] > RANKS[held*RANK_W+:RANK_W];
      end else if (ORDER == 1) begin : g_signed
        assign greater = $signed(next) > $signed(held);
      end else begin : g_unsigned
        assign greater = next > held;
      end
      for (q = 0; q < PLANES; q = q + 1) begin : g_plane
        assign held[q] = best_q[q*LANES+i];
        assign next[q] = s_data[q*LANES+i];
        assign best[q*LANES+i] = tap_q == 0 || greater ? next[q] : held[q];
      end
    end
  endgenerate
endmodule
`default_nettype wire
