// Sums of looked-up numbers: sum[pe] = sum over N_TERMS of sign[pe] * s[index[pe]], PE rows at a time.
// One number of a vector a cycle in while the vector before is used; one term of PE rows a cycle.
// A word of the ROM holds {minus, use, index} of each PE, PE 0 in the low bits, in the order (row fold, term).
`default_nettype none
module bnn_gather #(
    parameter PE = 1,  // rows computed together
    parameter IN_W = 8,  // bits of a signed number
    parameter SUM_W = 10,  // bits of a signed sum, at least IN_W
    parameter N_ELEMENTS = 4,  // numbers of a vector
    parameter N_TERMS = 2,  // terms of a sum
    parameter N_WORDS = 2,  // words of the ROM: row folds times N_TERMS
    parameter INDEX_W = 2,  // bits of an index of numbers
    parameter TERM_W = 1,  // bits of an index of terms
    parameter ADDR_W = 1,  // bits of an index of words
    parameter FILL_W = 4,  // bits of a count up to twice N_ELEMENTS
    parameter FILE = ""  // lookups
) (
    input wire clk,
    input wire rst,
    input wire [IN_W-1:0] s_data,
    input wire s_valid,
    output wire s_ready,
    output wire [PE*SUM_W-1:0] m_data,
    output wire m_valid,
    input wire m_ready
);
  localparam [FILL_W-1:0] VECTOR = N_ELEMENTS[FILL_W-1:0];
  localparam [FILL_W-1:0] FULL = {VECTOR[FILL_W-2:0], 1'b0};
  localparam [INDEX_W-1:0] LAST_ELEMENT = N_ELEMENTS[INDEX_W-1:0] - 1'b1;
  localparam [TERM_W-1:0] LAST_TERM = N_TERMS[TERM_W-1:0] - 1'b1;
  localparam [ADDR_W-1:0] LAST_WORD = N_WORDS[ADDR_W-1:0] - 1'b1;
  localparam TERM_BITS = INDEX_W + 2;

  reg [FILL_W-1:0] held_q;  // numbers of this vector and the next
  reg [INDEX_W-1:0] w_addr_q;
  reg w_half_q, half_q;
  reg [ADDR_W-1:0] addr_q;
  reg [TERM_W-1:0] term_q;
  // The stages: word of the ROM, number of the memory, sum.
  reg valid1_q, first1_q, last1_q, half1_q, valid2_q, first2_q, last2_q, valid3_q;
  wire push = s_valid && s_ready;
  wire advance = !valid3_q || m_ready;
  wire read = advance && held_q >= VECTOR;
  wire release_vector = read && addr_q == LAST_WORD;
  // A released half is not written before its last numbers are read, which is when the next stage advances.
  reg free1_q;
  assign s_ready = held_q + (free1_q && !advance ? VECTOR : {FILL_W{1'b0}}) < FULL;
  assign m_valid = valid3_q;

  always @(posedge clk) begin
    if (push) begin
      w_addr_q <= w_addr_q == LAST_ELEMENT ? {INDEX_W{1'b0}} : w_addr_q + 1'b1;
      if (w_addr_q == LAST_ELEMENT) w_half_q <= !w_half_q;
    end
    held_q <= held_q + {{FILL_W - 1{1'b0}}, push} - (release_vector ? VECTOR : {FILL_W{1'b0}});
    if (release_vector) free1_q <= 1'b1;
    else if (advance) free1_q <= 1'b0;
    if (read) begin
      addr_q <= addr_q == LAST_WORD ? {ADDR_W{1'b0}} : addr_q + 1'b1;
      term_q <= term_q == LAST_TERM ? {TERM_W{1'b0}} : term_q + 1'b1;
      first1_q <= term_q == 0;
      last1_q <= term_q == LAST_TERM;
      half1_q <= half_q;
      if (release_vector) half_q <= !half_q;
    end
    if (advance) begin
      valid1_q <= read;
      valid2_q <= valid1_q;
      first2_q <= first1_q;
      last2_q <= last1_q;
      valid3_q <= valid2_q && last2_q;
    end
    if (rst) begin
      held_q <= 0;
      w_addr_q <= 0;
      w_half_q <= 1'b0;
      half_q <= 1'b0;
      free1_q <= 1'b0;
      addr_q <= 0;
      term_q <= 0;
      valid1_q <= 1'b0;
      valid2_q <= 1'b0;
      valid3_q <= 1'b0;
    end
  end

  wire [PE*TERM_BITS-1:0] word;
  (* keep_hierarchy = N_WORDS > 1 *)
  bnn_rom #(
      .DATA_W(PE * TERM_BITS),
      .N_WORDS(N_WORDS),
      .ADDR_W(ADDR_W),
      .FILE(FILE)
  ) u_terms (
      .clk(clk),
      .en(read),
      .addr(addr_q),
      .q(word)
  );

  genvar p, b;
  generate
    for (p = 0; p < PE; p = p + 1) begin : g_pe
      wire [TERM_BITS-1:0] term = word[p*TERM_BITS+:TERM_BITS];
      wire [IN_W-1:0] number;
      bnn_ram #(
          .DATA_W(IN_W),
          .N_WORDS(2 << INDEX_W),
          .ADDR_W(INDEX_W + 1)
      ) u_numbers (
          .clk(clk),
          .w_en(push),
          .w_addr({w_half_q, w_addr_q}),
          .w_data(s_data),
          .r_en(advance),
          .r_addr({half1_q, term[INDEX_W-1:0]}),
          .q(number)
      );
      reg use_q, minus_q;
      always @(posedge clk) begin
        if (advance) begin
          use_q <= term[INDEX_W];
          minus_q <= term[INDEX_W+1];
        end
      end
      wire [SUM_W-1:0] wide;
      for (b = 0; b < SUM_W; b = b + 1) begin : g_extend
        assign wide[b] = number[b<IN_W?b : IN_W-1];
      end
      wire [SUM_W-1:0] used = use_q ? (minus_q ? -wide : wide) : {SUM_W{1'b0}};
      reg [SUM_W-1:0] sum_q;
      always @(posedge clk) begin
        if (advance && valid2_q) sum_q <= first2_q ? used : sum_q + used;
      end
      assign m_data[p*SUM_W+:SUM_W] = sum_q;
    end
  endgenerate
endmodule
`default_nettype wire
