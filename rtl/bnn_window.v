// Sliding window: a raster of pixels in, the words under each window position out.
// Order: output row, output column, group, kernel row, kernel column, word. One word a cycle.
// A word of the margin has PAD_BITS[q] in every lane of plane q. The buffer is a ring of
// 2**ADDR_W words addressed by position in the frame, so frames follow each other without a gap.
`default_nettype none
module bnn_window #(
    parameter LANES = 1,  // elements of a word
    parameter PLANES = 1,  // planes of an element
    parameter N_GROUPS = 1,  // channel groups, visited one after the other at each position
    parameter N_WORDS = 1,  // words of one group in one pixel
    parameter ROWS = 4,  // input rows
    parameter COLS = 4,  // input columns
    parameter OUT_ROWS = 2,  // output rows
    parameter OUT_COLS = 2,  // output columns
    parameter KERNEL_Y = 3,  // kernel rows
    parameter KERNEL_X = 3,  // kernel columns
    parameter STRIDE_Y = 1,  // rows between windows
    parameter STRIDE_X = 1,  // columns between windows
    parameter DILATION_Y = 1,  // rows between taps
    parameter DILATION_X = 1,  // columns between taps
    parameter PAD_Y = 0,  // margin above
    parameter PAD_X = 0,  // margin at the left
    parameter [PLANES-1:0] PAD_BITS = 0,  // code that stands in the margin
    parameter ADDR_W = 5,  // log2 of the buffer's words
    parameter POS_W = 8,  // bits of a signed word position, frame plus buffer and margins
    parameter INDEX_W = 4,  // bits of a signed row, column, group or word index
    parameter STYLE = "auto"  // of the buffer, as in bnn_ram
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
  localparam integer PIXEL = N_GROUPS * N_WORDS;
  localparam integer ROW = COLS * PIXEL;
  localparam integer FRAME = ROWS * ROW;
  // Moves of the read position when a counter advances and all within it start again.
  localparam integer SPAN = (KERNEL_Y - 1) * DILATION_Y * ROW + (KERNEL_X - 1) * DILATION_X * PIXEL + N_WORDS - 1;
  localparam integer TO_COL = DILATION_X * PIXEL - (N_WORDS - 1);
  localparam integer TO_ROW = DILATION_Y * ROW - (KERNEL_X - 1) * DILATION_X * PIXEL - (N_WORDS - 1);
  localparam integer TO_GROUP = N_WORDS - SPAN;
  localparam integer TO_RIGHT = STRIDE_X * PIXEL - (N_GROUPS - 1) * N_WORDS - SPAN;
  localparam integer TO_DOWN = STRIDE_Y * ROW - (OUT_COLS - 1) * STRIDE_X * PIXEL - (N_GROUPS - 1) * N_WORDS - SPAN;
  localparam integer TOP = -PAD_Y * ROW;
  localparam integer START = TOP - PAD_X * PIXEL;
  localparam integer DOWN = STRIDE_Y * ROW;
  localparam integer LAST_TOP = TOP + (OUT_ROWS - 1) * DOWN;
  localparam integer DEPTH = 1 << ADDR_W;
  // The same for the tap's row and column.
  localparam integer X_BACK = (KERNEL_X - 1) * DILATION_X;
  localparam integer Y_BACK = (KERNEL_Y - 1) * DILATION_Y;
  localparam integer X_RIGHT = STRIDE_X - X_BACK;
  localparam integer Y_DOWN = STRIDE_Y - Y_BACK;
  localparam integer X_START = -PAD_X;
  localparam integer Y_START = -PAD_Y;
  localparam signed [INDEX_W-1:0] X_END = COLS[INDEX_W-1:0];
  localparam signed [INDEX_W-1:0] Y_END = ROWS[INDEX_W-1:0];
  localparam signed [POS_W-1:0] FRAME_END = FRAME[POS_W-1:0];
  localparam signed [POS_W-1:0] RING = DEPTH[POS_W-1:0];

  reg [INDEX_W-1:0] word_q, kx_q, ky_q, group_q, ox_q, oy_q;
  reg signed [INDEX_W-1:0] x_q, y_q;  // column and row of the tap
  reg signed [POS_W-1:0] at_q;  // word to read, from the start of the frame
  reg signed [POS_W-1:0] written_q;  // words written, from the start of the frame being read
  reg signed [POS_W-1:0] top_q;  // first word of the window's top row; below it all is free
  reg [ADDR_W-1:0] base_q;  // ring address of the frame's first word
  reg [ADDR_W-1:0] w_addr_q;

  wire last_word = word_q == N_WORDS[INDEX_W-1:0] - 1'b1;
  wire last_col = last_word && kx_q == KERNEL_X[INDEX_W-1:0] - 1'b1;
  wire last_row = last_col && ky_q == KERNEL_Y[INDEX_W-1:0] - 1'b1;
  wire last_group = last_row && group_q == N_GROUPS[INDEX_W-1:0] - 1'b1;
  wire last_right = last_group && ox_q == OUT_COLS[INDEX_W-1:0] - 1'b1;
  wire last_down = last_right && oy_q == OUT_ROWS[INDEX_W-1:0] - 1'b1;

  wire on_map = !x_q[INDEX_W-1] && x_q < X_END && !y_q[INDEX_W-1] && y_q < Y_END;
  // Windows wholly below the map must not free words of the next frame.
  wire past_map = LAST_TOP > FRAME && top_q > FRAME_END;
  wire signed [POS_W-1:0] freed = top_q[POS_W-1] ? {POS_W{1'b0}} : past_map ? FRAME_END : top_q;
  wire signed [POS_W-1:0] occupied = written_q - freed;
  assign s_ready = occupied < RING;
  wire push = s_valid && s_ready;

  reg valid_q, margin_q;
  wire advance = !valid_q || m_ready;
  // The margin waits for the frame's first word: no frame is ahead of its input.
  wire arrived = on_map ? at_q < written_q : !written_q[POS_W-1] && written_q != 0;
  wire read = advance && arrived;

  always @(posedge clk) begin
    if (push) w_addr_q <= w_addr_q + 1'b1;
    written_q <= written_q + {{POS_W - 1{1'b0}}, push} - (read && last_down ? FRAME[POS_W-1:0] : {POS_W{1'b0}});
    if (advance) begin
      valid_q <= read;
      margin_q <= !on_map;
    end
    if (read) begin
      word_q <= last_word ? {INDEX_W{1'b0}} : word_q + 1'b1;
      at_q <= at_q + 1'b1;
      if (last_word) begin
        kx_q <= kx_q + 1'b1;
        x_q <= x_q + DILATION_X[INDEX_W-1:0];
        at_q <= at_q + TO_COL[POS_W-1:0];
      end
      if (last_col) begin
        kx_q <= 0;
        ky_q <= ky_q + 1'b1;
        x_q <= x_q - X_BACK[INDEX_W-1:0];
        y_q <= y_q + DILATION_Y[INDEX_W-1:0];
        at_q <= at_q + TO_ROW[POS_W-1:0];
      end
      if (last_row) begin
        ky_q <= 0;
        group_q <= group_q + 1'b1;
        y_q <= y_q - Y_BACK[INDEX_W-1:0];
        at_q <= at_q + TO_GROUP[POS_W-1:0];
      end
      if (last_group) begin
        group_q <= 0;
        ox_q <= ox_q + 1'b1;
        x_q <= x_q + X_RIGHT[INDEX_W-1:0];
        at_q <= at_q + TO_RIGHT[POS_W-1:0];
      end
      if (last_right) begin
        ox_q <= 0;
        oy_q <= oy_q + 1'b1;
        x_q <= X_START[INDEX_W-1:0];
        y_q <= y_q + Y_DOWN[INDEX_W-1:0];
        at_q <= at_q + TO_DOWN[POS_W-1:0];
        top_q <= top_q + DOWN[POS_W-1:0];
      end
      if (last_down) begin
        oy_q <= 0;
        y_q <= Y_START[INDEX_W-1:0];
        at_q <= START[POS_W-1:0];
        top_q <= TOP[POS_W-1:0];
        base_q <= base_q + FRAME[ADDR_W-1:0];
      end
    end
    if (rst) begin
      word_q <= 0;
      kx_q <= 0;
      ky_q <= 0;
      group_q <= 0;
      ox_q <= 0;
      oy_q <= 0;
      x_q <= X_START[INDEX_W-1:0];
      y_q <= Y_START[INDEX_W-1:0];
      at_q <= START[POS_W-1:0];
      written_q <= 0;
      top_q <= TOP[POS_W-1:0];
      base_q <= 0;
      w_addr_q <= 0;
      valid_q <= 1'b0;
    end
  end

  wire [PLANES*LANES-1:0] held, margin;
  genvar q;
  generate
    for (q = 0; q < PLANES; q = q + 1) begin : g_margin
      assign margin[q*LANES+:LANES] = {LANES{PAD_BITS[q]}};
    end
  endgenerate
  bnn_ram #(
      .DATA_W(PLANES * LANES),
      .N_WORDS(DEPTH),
      .ADDR_W(ADDR_W),
      .STYLE(STYLE)
  ) u_ring (
      .clk(clk),
      .w_en(push),
      .w_addr(w_addr_q),
      .w_data(s_data),
      .r_en(advance),
      .r_addr(base_q + at_q[ADDR_W-1:0]),
      .q(held)
  );
  assign m_data = margin_q ? margin : held;
  assign m_valid = valid_q;
endmodule
`default_nettype wire
