// Integer affine of each row: m[pe] = scale[pe] * sum[pe] + bias[pe].
// One beat a cycle; {bias, scale} in a ROM by border class and row fold, PE 0 in the low bits.
`default_nettype none
module bnn_affine #(
    parameter PE = 1,  // rows of a beat
    parameter SUM_W = 4,  // bits of a signed sum
    parameter SCALE_W = 2,  // bits of a signed scale
    parameter OUT_W = 8,  // bits of a signed result and of a bias, at least SUM_W and SCALE_W
    parameter N_FOLDS = 1,  // beats of a pixel
    parameter N_WORDS = 1,  // parameter words: folds times border classes
    parameter OUT_ROWS = 1,  // rows of pixels
    parameter OUT_COLS = 1,  // pixels of a row
    parameter ADDR_W = 1,  // bits of an index of parameter words
    parameter INDEX_W = 1,  // bits of an index of rows or columns
    parameter N_CLASSES = 1,  // border classes
    parameter [OUT_ROWS*ADDR_W-1:0] ROW_BASE = 0,  // see bnn_fold_address
    parameter [OUT_COLS*ADDR_W-1:0] COL_BASE = 0,  // see bnn_fold_address
    parameter FILE = ""  // parameters
) (
    input wire clk,
    input wire rst,
    input wire [PE*SUM_W-1:0] s_data,
    input wire s_valid,
    output wire s_ready,
    output wire [PE*OUT_W-1:0] m_data,
    output wire m_valid,
    input wire m_ready
);
  localparam WORD_W = OUT_W + SCALE_W;
  reg valid_q;
  reg [PE*SUM_W-1:0] sum_q;
  wire [PE*WORD_W-1:0] word;
  wire [ADDR_W-1:0] addr;
  wire advance = !valid_q || m_ready;
  wire take = s_valid && advance;
  assign s_ready = advance;
  assign m_valid = valid_q;
  always @(posedge clk) begin
    if (take) sum_q <= s_data;
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
  bnn_rom #(
      .DATA_W(PE * WORD_W),
      .N_WORDS(N_WORDS),
      .ADDR_W(ADDR_W),
      .FILE(FILE)
  ) u_parameters (
      .clk(clk),
      .en(take),
      .addr(addr),
      .q(word)
  );
  genvar p, b;
  generate
    for (p = 0; p < PE; p = p + 1) begin : g_pe
      wire [OUT_W-1:0] sum, scale;
      for (b = 0; b < OUT_W; b = b + 1) begin : g_extend
        assign sum[b] = sum_q[p*SUM_W+(b<SUM_W?b : SUM_W-1)];
        assign scale[b] = word[p*WORD_W+(b<SCALE_W?b : SCALE_W-1)];
      end
      assign m_data[p*OUT_W+:OUT_W] = sum * scale + word[p*WORD_W+SCALE_W+:OUT_W];
    end
  endgenerate
endmodule
`default_nettype wire
