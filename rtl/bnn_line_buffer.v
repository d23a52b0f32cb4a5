// Sliding window, whole: a raster of pixels in, all pixels under each window position out at once.
// A beat in is a pixel, a beat out a window: kernel row, kernel column, channel, plane by plane.
// Behind every row TAIL_X pixels of margin are put in, behind every frame TAIL_Y rows of them; those serve the next row's
// left margin too. Rows above the map are blanked as they come from the lines. A frame takes (COLS+TAIL_X)*(ROWS+TAIL_Y) cycles.
`default_nettype none
module bnn_line_buffer #(
    parameter LANES = 1,  // elements of a pixel
    parameter PLANES = 1,  // planes of an element
    parameter ROWS = 4,  // input rows
    parameter COLS = 4,  // input columns
    parameter OUT_COLS = 2,  // output columns
    parameter KERNEL_Y = 3,  // kernel rows
    parameter KERNEL_X = 3,  // kernel columns
    parameter STRIDE_Y = 1,  // rows between windows
    parameter STRIDE_X = 1,  // columns between windows
    parameter DILATION_Y = 1,  // rows between taps
    parameter DILATION_X = 1,  // columns between taps
    parameter PAD_Y = 0,  // margin above, at most (KERNEL_Y-1)*DILATION_Y
    parameter PAD_X = 0,  // margin at the left, at most (KERNEL_X-1)*DILATION_X
    parameter TAIL_Y = 0,  // rows of margin below that a window reaches
    parameter TAIL_X = 0,  // columns of margin at the right that a window reaches, at least PAD_X
    parameter [PLANES-1:0] PAD_BITS = 0,  // code that stands in the margin
    parameter INDEX_W = 3,  // bits of a row or column, tails included, of a stride, and of a line's number
    parameter ADDR_W = 2,  // bits of a column's number
    parameter STYLE = "auto"  // of the lines, as in bnn_ram
) (
    input wire clk,
    input wire rst,
    input wire [PLANES*LANES-1:0] s_data,
    input wire s_valid,
    output wire s_ready,
    output wire [PLANES*KERNEL_Y*KERNEL_X*LANES-1:0] m_data,
    output wire m_valid,
    input wire m_ready
);
  localparam integer PIXEL = PLANES * LANES;
  localparam integer N_TAPS = KERNEL_Y * KERNEL_X;
  localparam integer N_LINES = (KERNEL_Y - 1) * DILATION_Y;  // rows above a pixel that are kept
  localparam integer N_COLS = (KERNEL_X - 1) * DILATION_X + 1;  // columns that a window spans
  localparam integer LAST_X = COLS + TAIL_X - 1;
  localparam integer LAST_Y = ROWS + TAIL_Y - 1;
  // Where the last taps of the first window stand, of the last one in a row, and how far a stride is then.
  localparam integer FIRST_X = N_COLS - 1 - PAD_X;
  localparam integer FIRST_Y = N_LINES - PAD_Y;
  localparam integer END_X = FIRST_X + (OUT_COLS - 1) * STRIDE_X;
  localparam integer PHASE_X = (STRIDE_X - FIRST_X % STRIDE_X) % STRIDE_X;
  localparam integer PHASE_Y = (STRIDE_Y - FIRST_Y % STRIDE_Y) % STRIDE_Y;

  reg [INDEX_W-1:0] x_q, y_q;  // of the next pixel
  reg [INDEX_W-1:0] phase_x_q, phase_y_q;  // how far a stride is
  reg valid_q;
  wire advance = !valid_q || m_ready;
  wire right = TAIL_X > 0 && x_q >= COLS[INDEX_W-1:0];
  wire below = TAIL_Y > 0 && y_q >= ROWS[INDEX_W-1:0];
  wire margin = right || below;
  wire push = advance && (margin || s_valid);
  wire last_x = x_q == LAST_X[INDEX_W-1:0];
  wire last_y = y_q == LAST_Y[INDEX_W-1:0];
  wire [INDEX_W-1:0] next_x = last_x ? {INDEX_W{1'b0}} : x_q + 1'b1;
  wire on_x = (FIRST_X == 0 || x_q >= FIRST_X[INDEX_W-1:0]) && (END_X == LAST_X || x_q <= END_X[INDEX_W-1:0]) && phase_x_q == 0;
  wire on_y = (FIRST_Y == 0 || y_q >= FIRST_Y[INDEX_W-1:0]) && phase_y_q == 0;
  assign s_ready = advance && !margin;

  always @(posedge clk) begin
    if (advance) valid_q <= push && on_x && on_y;
    if (push) begin
      x_q <= next_x;
      phase_x_q <= last_x ? PHASE_X[INDEX_W-1:0] : phase_x_q == STRIDE_X[INDEX_W-1:0] - 1'b1 ? {INDEX_W{1'b0}} : phase_x_q + 1'b1;
      if (last_x) begin
        y_q <= last_y ? {INDEX_W{1'b0}} : y_q + 1'b1;
        phase_y_q <= last_y ? PHASE_Y[INDEX_W-1:0] : phase_y_q == STRIDE_Y[INDEX_W-1:0] - 1'b1 ? {INDEX_W{1'b0}} : phase_y_q + 1'b1;
      end
    end
    if (rst) begin
      x_q <= 0;
      y_q <= 0;
      phase_x_q <= PHASE_X[INDEX_W-1:0];
      phase_y_q <= PHASE_Y[INDEX_W-1:0];
      valid_q <= 1'b0;
    end
  end

  wire [PIXEL-1:0] blank;
  wire [PIXEL*(N_LINES+1)-1:0] column;  // the pixel that enters, and those above it
  genvar q, tap, n;
  generate
    for (q = 0; q < PLANES; q = q + 1) begin : g_blank
      assign blank[q*LANES+:LANES] = {LANES{PAD_BITS[q]}};
    end
  endgenerate
  assign column[PIXEL-1:0] = margin ? blank : s_data;

  generate
    if (N_LINES > 0) begin : g_lines
      wire [PIXEL*N_LINES-1:0] above;
      for (n = 0; n < N_LINES; n = n + 1) begin : g_line
        localparam integer LINE = n;
        wire off = right || (PAD_Y > 0 && y_q <= LINE[INDEX_W-1:0]);
        assign column[PIXEL*(n+1)+:PIXEL] = off ? blank : above[PIXEL*n+:PIXEL];
      end
      if (COLS == 1) begin : g_one
        reg [PIXEL*N_LINES-1:0] above_q;
        always @(posedge clk) if (push && !right) above_q <= column[PIXEL*N_LINES-1:0];
        assign above = above_q;
      end else begin : g_ram
        bnn_ram #(
            .DATA_W(PIXEL * N_LINES),
            .N_WORDS(COLS),
            .ADDR_W(ADDR_W),
            .STYLE(STYLE)
        ) u_lines (
            .clk(clk),
            .w_en(push && !right),
            .w_addr(x_q[ADDR_W-1:0]),
            .w_data(column[PIXEL*N_LINES-1:0]),
            .r_en(push),
            .r_addr(next_x[ADDR_W-1:0]),
            .q(above)
        );
      end
    end
  endgenerate

  // Columns of the window, the newest first, each from its lowest pixel up.
  localparam integer COLUMN = PIXEL * KERNEL_Y;
  localparam integer LEFT = PAD_X > 0 ? PAD_X : 1;
  reg [COLUMN*N_COLS-1:0] window_q;
  wire [COLUMN-1:0] entering;
  generate
    for (n = 0; n < KERNEL_Y; n = n + 1) begin : g_entering
      assign entering[PIXEL*n+:PIXEL] = column[PIXEL*DILATION_Y*n+:PIXEL];
    end
  endgenerate
  wire [COLUMN*N_COLS-1:0] shifted;
  generate
    if (N_COLS > 1) begin : g_shift
      assign shifted = {window_q[COLUMN*(N_COLS-1)-1:0], entering};
    end else begin : g_replace
      assign shifted = entering;
    end
  endgenerate
  always @(posedge clk) begin
    if (push) window_q <= shifted;
    if (rst && PAD_X > 0) window_q[COLUMN*LEFT-1:0] <= {KERNEL_Y * LEFT{blank}};  // no row was before the first
  end
  generate
    for (q = 0; q < PLANES; q = q + 1) begin : g_plane
      for (tap = 0; tap < N_TAPS; tap = tap + 1) begin : g_tap
        localparam integer AGE = (KERNEL_X - 1 - tap % KERNEL_X) * DILATION_X;
        localparam integer ABOVE = KERNEL_Y - 1 - tap / KERNEL_X;
        assign m_data[(q*N_TAPS+tap)*LANES+:LANES] = window_q[COLUMN*AGE+PIXEL*ABOVE+LANES*q+:LANES];
      end
    end
  endgenerate
  assign m_valid = valid_q;
endmodule
`default_nettype wire
