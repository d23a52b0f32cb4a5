// Integer affine of each row in a fixed-point format: m[pe] = overflow((scale[pe] * sum[pe] + bias[pe]) >> SHIFT).
// One beat a cycle. A word of the ROM holds {bias, scale} of each PE, PE 0 in the low bits.
`default_nettype none
module bnn_affine #(
    parameter PE = 1,  // rows of a beat
    parameter SUM_W = 4,  // bits of a signed sum
    parameter SCALE_W = 2,  // bits of a signed scale
    parameter BIAS_W = 8,  // bits of a signed bias
    parameter EXACT_W = 8,  // bits of the exact result, at least every other width
    parameter SHIFT = 0,  // bits that are cut off
    parameter OVERFLOW = 2,  // beyond LOW and HIGH: 0 saturates, 1 gives 0, 2 wraps at WRAP_W bits
    parameter [EXACT_W-1:0] LOW = 0,  // least result, signed
    parameter [EXACT_W-1:0] HIGH = 0,  // greatest result, signed
    parameter WRAP_W = 8,  // bits that are kept when results wrap, at most OUT_W
    parameter OUT_W = 8,  // bits of a signed result
    parameter N_FOLDS = 1,  // beats of a pixel
    parameter N_WORDS = 1,  // parameter words: folds times border classes
    parameter OUT_ROWS = 1,  // rows of pixels
    parameter OUT_COLS = 1,  // pixels of a row
    parameter ADDR_W = 1,  // bits of an index of parameter words
    parameter INDEX_W = 1,  // bits of an index of rows or columns
    parameter N_CLASSES = 1,  // border classes
    parameter [OUT_ROWS*ADDR_W-1:0] ROW_BASE = 0,  // see bnn_fold_address
    parameter [OUT_COLS*ADDR_W-1:0] COL_BASE = 0,  // see bnn_fold_address
    parameter WRITABLE = 0,  // 1: w_en writes a parameter word
    parameter FILE = ""  // parameters
) (
    input wire clk,
    input wire rst,
    input wire [PE*SUM_W-1:0] s_data,
    input wire s_valid,
    output wire s_ready,
    output wire [PE*OUT_W-1:0] m_data,
    output wire m_valid,
    input wire m_ready,
    input wire w_en,
    input wire [ADDR_W-1:0] w_addr,
    input wire [PE*(BIAS_W+SCALE_W)-1:0] w_data
);
  localparam WORD_W = BIAS_W + SCALE_W;
  wire [PE*SUM_W-1:0] sums;
  wire [PE*WORD_W-1:0] words;
  bnn_head_rom #(
      .DATA_W(PE * SUM_W),
      .WORD_W(PE * WORD_W),
      .N_FOLDS(N_FOLDS),
      .N_WORDS(N_WORDS),
      .OUT_ROWS(OUT_ROWS),
      .OUT_COLS(OUT_COLS),
      .ADDR_W(ADDR_W),
      .INDEX_W(INDEX_W),
      .N_CLASSES(N_CLASSES),
      .ROW_BASE(ROW_BASE),
      .COL_BASE(COL_BASE),
      .WRITABLE(WRITABLE),
      .FILE(FILE)
  ) u_rom (
      .clk(clk),
      .rst(rst),
      .s_data(s_data),
      .s_valid(s_valid),
      .s_ready(s_ready),
      .m_data(sums),
      .m_word(words),
      .m_valid(m_valid),
      .m_ready(m_ready),
      .w_en(w_en),
      .w_addr(w_addr),
      .w_data(w_data)
  );
  genvar p, b;
  generate
    for (p = 0; p < PE; p = p + 1) begin : g_pe
      wire [EXACT_W-1:0] sum, scale, bias;
      for (b = 0; b < EXACT_W; b = b + 1) begin : g_extend
        assign sum[b] = sums[p*SUM_W+(b<SUM_W?b : SUM_W-1)];
        assign scale[b] = words[p*WORD_W+(b<SCALE_W?b : SCALE_W-1)];
        assign bias[b] = words[p*WORD_W+SCALE_W+(b<BIAS_W?b : BIAS_W-1)];
      end
      wire signed [EXACT_W-1:0] exact = sum * scale + bias;
      wire signed [EXACT_W-1:0] kept = exact >>> SHIFT;
      if (OVERFLOW == 2) begin : g_wrap
        for (b = 0; b < OUT_W; b = b + 1) begin : g_kept
          assign m_data[p*OUT_W+b] = kept[b<WRAP_W?b : WRAP_W-1];
        end
        if (WRAP_W < EXACT_W) begin : g_cut
          wire unused = ^kept[EXACT_W-1:WRAP_W];
        end
      end else begin : g_narrow
        wire below = kept < $signed(LOW);
        wire above = kept > $signed(HIGH);
        wire [OUT_W-1:0] low = OVERFLOW == 0 ? LOW[OUT_W-1:0] : {OUT_W{1'b0}};
        wire [OUT_W-1:0] high = OVERFLOW == 0 ? HIGH[OUT_W-1:0] : {OUT_W{1'b0}};
        assign m_data[p*OUT_W+:OUT_W] = below ? low : above ? high : kept[OUT_W-1:0];
      end
    end
  endgenerate
endmodule
`default_nettype wire
