// Address of a head's parameters: the beat within the pixel, and where the pixel's border class begins.
// Advances by one beat when step is high; pixels run in rows, frames follow each other.
`default_nettype none
module bnn_fold_address #(
    parameter N_FOLDS = 1,  // beats of a pixel
    parameter OUT_ROWS = 1,  // rows of pixels
    parameter OUT_COLS = 1,  // pixels of a row
    parameter ADDR_W = 1,  // bits of an address
    parameter INDEX_W = 1,  // bits of an index of rows or columns
    parameter N_CLASSES = 1,  // border classes; with one, the tables below are not used
    parameter [OUT_ROWS*ADDR_W-1:0] ROW_BASE = 0,  // per row, first address of its classes
    parameter [OUT_COLS*ADDR_W-1:0] COL_BASE = 0  // per column, first address within those
) (
    input wire clk,
    input wire rst,
    input wire step,
    output wire [ADDR_W-1:0] addr
);
  localparam [ADDR_W-1:0] LAST_FOLD = N_FOLDS[ADDR_W-1:0] - 1'b1;
  reg [ADDR_W-1:0] fold_q;
  wire last_fold = fold_q == LAST_FOLD;
  always @(posedge clk) begin
    if (step) fold_q <= last_fold ? {ADDR_W{1'b0}} : fold_q + 1'b1;
    if (rst) fold_q <= 0;
  end
  generate
    if (N_CLASSES == 1) begin : g_one_class
      assign addr = fold_q;
    end else begin : g_classes
      localparam [INDEX_W-1:0] LAST_COL = OUT_COLS[INDEX_W-1:0] - 1'b1;
      localparam [INDEX_W-1:0] LAST_ROW = OUT_ROWS[INDEX_W-1:0] - 1'b1;
      reg [INDEX_W-1:0] row_q, col_q;
      wire last_col = col_q == LAST_COL;
      always @(posedge clk) begin
        if (step && last_fold) begin
          col_q <= last_col ? {INDEX_W{1'b0}} : col_q + 1'b1;
          if (last_col) row_q <= row_q == LAST_ROW ? {INDEX_W{1'b0}} : row_q + 1'b1;
        end
        if (rst) begin
          row_q <= 0;
          col_q <= 0;
        end
      end
      assign addr = ROW_BASE[row_q*ADDR_W+:ADDR_W] + COL_BASE[col_q*ADDR_W+:ADDR_W] + fold_q;
    end
  endgenerate
endmodule
`default_nettype wire
