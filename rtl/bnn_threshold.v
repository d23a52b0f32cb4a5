// Thresholds of each row: level[pe] = number of k with (sum[pe] >= limit[pe][k]) xor flip[pe], in its code.
// One beat a cycle. A word of the ROM holds, PE 0 in the low bits, N_LIMITS limits, reached in order, and the flip.
`default_nettype none
module bnn_threshold #(
    parameter PE = 1,  // rows of a beat
    parameter SUM_W = 4,  // bits of a signed sum
    parameter LIMIT_W = 4,  // bits of a signed limit, at least SUM_W; one that no sum reaches may need one more
    parameter N_LIMITS = 1,  // limits of a row: levels less one
    parameter FLIPS = 0,  // whether words hold a flip
    parameter PLANES = 1,  // bits of a code
    parameter [PLANES-1:0] START = 0,  // code of level 0
    parameter [N_LIMITS*PLANES-1:0] TOGGLES = 1,  // bits in which the codes of each two neighbouring levels differ
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
    parameter FILE = ""  // limits and flips
) (
    input wire clk,
    input wire rst,
    input wire [PE*SUM_W-1:0] s_data,
    input wire s_valid,
    output wire s_ready,
    output wire [PLANES*PE-1:0] m_data,
    output wire m_valid,
    input wire m_ready,
    input wire w_en,
    input wire [ADDR_W-1:0] w_addr,
    input wire [PE*(N_LIMITS*LIMIT_W+FLIPS)-1:0] w_data
);
  localparam WORD_W = N_LIMITS * LIMIT_W + FLIPS;
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
  genvar p, b, k, q;
  generate
    for (p = 0; p < PE; p = p + 1) begin : g_pe
      wire [LIMIT_W-1:0] sum;
      for (b = 0; b < LIMIT_W; b = b + 1) begin : g_extend
        assign sum[b] = sums[p*SUM_W+(b<SUM_W?b : SUM_W-1)];
      end
      wire [N_LIMITS-1:0] reached;
      wire flip;
      if (FLIPS == 1) begin : g_flip
        assign flip = words[p*WORD_W+WORD_W-1];
      end else begin : g_rising
        assign flip = 1'b0;
      end
      for (k = 0; k < N_LIMITS; k = k + 1) begin : g_limit
        wire [LIMIT_W-1:0] limit = words[p*WORD_W+k*LIMIT_W+:LIMIT_W];
        assign reached[k] = ($signed(sum) >= $signed(limit)) ^ flip;
      end
      for (q = 0; q < PLANES; q = q + 1) begin : g_plane
        wire [N_LIMITS-1:0] toggles;
        for (k = 0; k < N_LIMITS; k = k + 1) begin : g_toggle
          assign toggles[k] = TOGGLES[k*PLANES+q];
        end
        assign m_data[q*PE+p] = START[q] ^ (^(reached & toggles));
      end
    end
  endgenerate
endmodule
`default_nettype wire
