// Meets each beat with its word of a ROM: by border class of the pixel, then by beat within the pixel.
// One beat a cycle, one cycle later; words run (border class, beat).
`default_nettype none
module bnn_head_rom #(
    parameter DATA_W = 8,  // bits of a beat
    parameter WORD_W = 8,  // bits of a word of the ROM
    parameter N_FOLDS = 1,  // beats of a pixel
    parameter N_WORDS = 1,  // words: folds times border classes
    parameter OUT_ROWS = 1,  // rows of pixels
    parameter OUT_COLS = 1,  // pixels of a row
    parameter ADDR_W = 1,  // bits of an index of words
    parameter INDEX_W = 1,  // bits of an index of rows or columns
    parameter N_CLASSES = 1,  // border classes
    parameter [OUT_ROWS*ADDR_W-1:0] ROW_BASE = 0,  // see bnn_fold_address
    parameter [OUT_COLS*ADDR_W-1:0] COL_BASE = 0,  // see bnn_fold_address
    parameter WRITABLE = 0,  // 1: w_en writes a word
    parameter FILE = ""  // words
) (
    input wire clk,
    input wire rst,
    input wire [DATA_W-1:0] s_data,
    input wire s_valid,
    output wire s_ready,
    output wire [DATA_W-1:0] m_data,
    output wire [WORD_W-1:0] m_word,
    output wire m_valid,
    input wire m_ready,
    input wire w_en,
    input wire [ADDR_W-1:0] w_addr,
    input wire [WORD_W-1:0] w_data
);
  reg valid_q;
  reg [DATA_W-1:0] data_q;
  wire [ADDR_W-1:0] addr;
  wire advance = !valid_q || m_ready;
  wire take = s_valid && advance;
  assign s_ready = advance;
  assign m_valid = valid_q;
  assign m_data = data_q;
  always @(posedge clk) begin
    if (take) data_q <= s_data;
    if (advance) valid_q <= s_valid;
    if (rst) valid_q <= 1'b0;
  end
  bnn_fold_address #(
      .N_FOLDS(N_FOLDS),
      .OUT_ROWS(OUT_ROWS),
      .OUT_COLS(OUT_COLS),
      .ADDR_W(ADDR_W),
      .INDEX_W(INDEX_W),
      .N_CLASSES(N_CLASSES),
      .ROW_BASE(ROW_BASE),
      .COL_BASE(COL_BASE)
  ) u_address (
      .clk(clk),
      .rst(rst),
      .step(take),
      .addr(addr)
  );
  generate
    if (WRITABLE) begin : g_writable
      bnn_ram #(
          .DATA_W(WORD_W),
          .N_WORDS(N_WORDS),
          .ADDR_W(ADDR_W),
          .FILE(FILE)
      ) u_words (
          .clk(clk),
          .w_en(w_en),
          .w_addr(w_addr),
          .w_data(w_data),
          .r_en(take),
          .r_addr(addr),
          .q(m_word)
      );
    end else begin : g_fixed
      wire unused = ^{w_en, w_addr, w_data};
      (* keep_hierarchy = N_WORDS > 1 *)
      bnn_rom #(
          .DATA_W(WORD_W),
          .N_WORDS(N_WORDS),
          .ADDR_W(ADDR_W),
          .FILE(FILE)
      ) u_words (
          .clk(clk),
          .en(take),
          .addr(addr),
          .q(m_word)
      );
    end
  endgenerate
endmodule
`default_nettype wire
