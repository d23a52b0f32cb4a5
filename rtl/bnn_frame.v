// Guards the input: every frame leaves with exactly N_BEATS beats, whatever came.
// A frame that ends early is filled up with zeros, one that goes on is cut; either, or a wrong
// tkeep, sets err, which stays until reset. Bits behind the frame's end become 0, as in every stream.
`default_nettype none
module bnn_frame #(
    parameter DATA_W = 8,  // bits of a beat, a multiple of 8
    parameter N_BEATS = 2,  // beats of a frame
    parameter TAIL_W = 8,  // bits of the last beat that belong to the frame, 1 .. DATA_W
    parameter [DATA_W/8-1:0] KEEP = 1,  // tkeep of a full frame's last beat
    parameter BEAT_W = 1  // bits of an index of beats
) (
    input wire clk,
    input wire rst,
    input wire [DATA_W-1:0] s_tdata,
    input wire [DATA_W/8-1:0] s_tkeep,
    input wire s_tlast,
    input wire s_tvalid,
    output wire s_tready,
    output wire [DATA_W-1:0] m_data,
    output wire m_valid,
    input wire m_ready,
    output reg err
);
  localparam [BEAT_W-1:0] LAST = N_BEATS[BEAT_W-1:0] - 1'b1;
  reg [BEAT_W-1:0] beat_q;
  reg fill_q;  // the frame ended early: send zeros
  reg drop_q;  // the frame goes on past its end: swallow the rest
  wire last = N_BEATS == 1 || beat_q == LAST;  // one beat is never filled up
  wire take = s_tvalid && s_tready;
  assign s_tready = !rst && (drop_q || (!fill_q && m_ready));
  assign m_valid = fill_q || (s_tvalid && !drop_q);
  wire [DATA_W-1:0] wanted = last ? {DATA_W{1'b1}} >> (DATA_W - TAIL_W) : {DATA_W{1'b1}};
  assign m_data = fill_q ? {DATA_W{1'b0}} : s_tdata & wanted;
  always @(posedge clk) begin
    if (m_valid && m_ready) begin
      beat_q <= last ? {BEAT_W{1'b0}} : beat_q + 1'b1;
      if (last) fill_q <= 1'b0;
    end
    if (take) begin
      if (drop_q) drop_q <= !s_tlast;
      else begin
        if (s_tlast && !last) fill_q <= 1'b1;
        if (!s_tlast && last) drop_q <= 1'b1;
        if (s_tlast != last || s_tkeep != (last ? KEEP : {DATA_W / 8{1'b1}})) err <= 1'b1;
      end
    end
    if (rst) begin
      beat_q <= 0;
      fill_q <= 1'b0;
      drop_q <= 1'b0;
      err <= 1'b0;
    end
  end
endmodule
`default_nettype wire
