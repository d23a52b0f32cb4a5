// A network's streams at a serial line of 8 data bits and one stop bit: bytes in fill the beats of a frame, the kept bytes of beats go out.
// A byte that comes while a beat waits for the network is lost, and overrun stays set until reset: send a frame when the one before has come back.
`default_nettype none
module bnn_uart #(
    parameter CLOCKS = 100,  // clock cycles of a bit, at least 4
    parameter CLOCK_W = 7,  // bits of a count of them
    parameter S_BYTES = 1,  // bytes of a beat of the input port
    parameter S_INDEX_W = 1,  // bits of an index of them
    parameter N_BYTES = 1,  // bytes of a frame
    parameter FRAME_W = 1,  // bits of an index of them
    parameter M_BYTES = 1,  // bytes of a beat of the output port
    parameter M_INDEX_W = 1  // bits of an index of them
) (
    input wire clk,
    input wire rst,
    input wire rx,
    output wire tx,
    output wire [8*S_BYTES-1:0] m_tdata,
    output wire [S_BYTES-1:0] m_tkeep,
    output wire m_tlast,
    output wire m_tvalid,
    input wire m_tready,
    input wire [8*M_BYTES-1:0] s_tdata,
    input wire [M_BYTES-1:0] s_tkeep,
    input wire s_tvalid,
    output wire s_tready,
    output reg overrun
);
  localparam [CLOCK_W-1:0] WHOLE = CLOCKS[CLOCK_W-1:0] - 1'b1;
  localparam [CLOCK_W-1:0] HALF = CLOCKS[CLOCK_W:1];
  localparam [FRAME_W-1:0] LAST_BYTE = N_BYTES[FRAME_W-1:0] - 1'b1;
  localparam [S_INDEX_W-1:0] LAST_IN = S_BYTES[S_INDEX_W-1:0] - 1'b1;
  localparam [M_INDEX_W-1:0] LAST_OUT = M_BYTES[M_INDEX_W-1:0] - 1'b1;

  // Bits in: each is looked at in its middle, the start bit again, so that a spike is none.
  reg [2:0] line_q;
  reg [CLOCK_W-1:0] in_clock_q;
  reg [3:0] in_bit_q;  // 0: no byte; 1: start bit; 2 .. 9: data; 10: stop bit
  reg [7:0] in_byte_q;
  wire middle = in_clock_q == 0;
  wire arrived = in_bit_q == 4'd10 && middle && line_q[2];
  always @(posedge clk) begin
    line_q <= {line_q[1:0], rx};
    if (in_bit_q == 0) begin
      in_clock_q <= HALF;
      if (!line_q[2]) in_bit_q <= 4'd1;
    end else begin
      in_clock_q <= middle ? WHOLE : in_clock_q - 1'b1;
      if (middle) begin
        in_byte_q <= {line_q[2], in_byte_q[7:1]};
        in_bit_q <= in_bit_q == 4'd10 || (in_bit_q == 4'd1 && line_q[2]) ? 4'd0 : in_bit_q + 1'b1;
      end
    end
    if (rst) begin
      line_q <= 3'b111;
      in_bit_q <= 4'd0;
    end
  end
  wire [7:0] in_byte = in_byte_q;

  // Bytes to beats.
  reg [8*S_BYTES-1:0] beat_q;
  reg [S_BYTES-1:0] keep_q;
  reg [S_INDEX_W-1:0] place_q;
  reg [FRAME_W-1:0] byte_q;
  reg valid_q, last_q;
  wire ends = byte_q == LAST_BYTE;
  assign m_tdata  = beat_q;
  assign m_tkeep  = keep_q;
  assign m_tlast  = last_q;
  assign m_tvalid = valid_q;
  integer k;
  always @(posedge clk) begin
    if (m_tready) valid_q <= 1'b0;
    if (arrived && valid_q && !m_tready) overrun <= 1'b1;
    else if (arrived) begin
      for (k = 0; k < S_BYTES; k = k + 1) begin
        if ({{32 - S_INDEX_W{1'b0}}, place_q} == k) beat_q[8*k+:8] <= in_byte;
        keep_q[k] <= {{32 - S_INDEX_W{1'b0}}, place_q} >= k;
      end
      last_q <= ends;
      byte_q <= ends ? {FRAME_W{1'b0}} : byte_q + 1'b1;
      place_q <= ends || place_q == LAST_IN ? {S_INDEX_W{1'b0}} : place_q + 1'b1;
      if (ends || place_q == LAST_IN) valid_q <= 1'b1;
    end
    if (rst) begin
      place_q <= 0;
      byte_q  <= 0;
      valid_q <= 1'b0;
      overrun <= 1'b0;
    end
  end

  // Beats to bytes and bits out: a start bit, data, a stop bit.
  reg [8*M_BYTES-1:0] held_q;
  reg [M_BYTES-1:0] kept_q;
  reg holds_q;
  reg [M_INDEX_W-1:0] at_q;
  reg [CLOCK_W-1:0] out_clock_q;
  reg [3:0] out_bits_q;  // that are still to be sent
  reg [9:0] shift_q;
  wire sent = out_bits_q == 0;
  wire done = at_q == LAST_OUT;
  assign s_tready = !holds_q;
  assign tx = sent || shift_q[0];
  always @(posedge clk) begin
    if (s_tvalid && s_tready) begin
      held_q  <= s_tdata;
      kept_q  <= s_tkeep;
      holds_q <= 1'b1;
      at_q    <= 0;
    end
    if (sent && holds_q) begin
      if (kept_q[0]) begin
        shift_q <= {1'b1, held_q[7:0], 1'b0};
        out_bits_q <= 4'd10;
        out_clock_q <= WHOLE;
      end
      held_q <= held_q >> 8;
      kept_q <= kept_q >> 1;
      at_q   <= done ? {M_INDEX_W{1'b0}} : at_q + 1'b1;
      if (done) holds_q <= 1'b0;
    end
    if (!sent) begin
      out_clock_q <= out_clock_q == 0 ? WHOLE : out_clock_q - 1'b1;
      if (out_clock_q == 0) begin
        shift_q <= shift_q >> 1;
        out_bits_q <= out_bits_q - 1'b1;
      end
    end
    if (rst) begin
      holds_q <= 1'b0;
      out_bits_q <= 4'd0;
    end
  end
endmodule
`default_nettype wire
