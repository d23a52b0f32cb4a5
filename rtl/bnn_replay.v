// Sends each vector of N_WORDS words N_PASSES times, while the next vector comes in.
// One word a cycle out; a word can leave one cycle after it came.
`default_nettype none
module bnn_replay #(
    parameter DATA_W = 8,  // bits of a word
    parameter N_WORDS = 2,  // words of a vector
    parameter N_PASSES = 2,  // times that a vector is sent
    parameter ADDR_W = 2,  // bits of an index of two vectors
    parameter PASS_W = 1,  // bits of an index of passes
    parameter STYLE = "auto"  // of the memory, as in bnn_ram
) (
    input wire clk,
    input wire rst,
    input wire [DATA_W-1:0] s_data,
    input wire s_valid,
    output wire s_ready,
    output wire [DATA_W-1:0] m_data,
    output wire m_valid,
    input wire m_ready
);
  localparam [ADDR_W:0] VECTOR = N_WORDS[ADDR_W:0];
  localparam [ADDR_W:0] FULL = {VECTOR[ADDR_W-1:0], 1'b0};
  localparam [ADDR_W-1:0] END = FULL[ADDR_W-1:0] - 1'b1;
  localparam [ADDR_W-1:0] LAST_WORD = N_WORDS[ADDR_W-1:0] - 1'b1;
  localparam [PASS_W-1:0] LAST_PASS = N_PASSES[PASS_W-1:0] - 1'b1;

  reg [ADDR_W:0] held_q;  // words of this vector and the next
  reg [ADDR_W-1:0] w_addr_q, word_q;
  reg half_q;  // which half of the memory this vector is in
  reg [PASS_W-1:0] pass_q;
  reg valid_q;
  wire push = s_valid && s_ready;
  wire advance = !valid_q || m_ready;
  wire read = advance && {1'b0, word_q} < held_q;
  wire last_word = word_q == LAST_WORD;
  wire release_vector = read && last_word && pass_q == LAST_PASS;
  assign s_ready = held_q != FULL;
  assign m_valid = valid_q;

  always @(posedge clk) begin
    if (push) w_addr_q <= w_addr_q == END ? {ADDR_W{1'b0}} : w_addr_q + 1'b1;
    held_q <= held_q + {{ADDR_W{1'b0}}, push} - (release_vector ? VECTOR : {ADDR_W + 1{1'b0}});
    if (advance) valid_q <= read;
    if (read) begin
      word_q <= last_word ? {ADDR_W{1'b0}} : word_q + 1'b1;
      if (last_word) pass_q <= release_vector ? {PASS_W{1'b0}} : pass_q + 1'b1;
      if (release_vector) half_q <= !half_q;
    end
    if (rst) begin
      w_addr_q <= 0;
      word_q <= 0;
      half_q <= 1'b0;
      pass_q <= 0;
      held_q <= 0;
      valid_q <= 1'b0;
    end
  end

  bnn_ram #(
      .DATA_W(DATA_W),
      .N_WORDS(2 * N_WORDS),
      .ADDR_W(ADDR_W),
      .STYLE(STYLE)
  ) u_vectors (
      .clk(clk),
      .w_en(push),
      .w_addr(w_addr_q),
      .w_data(s_data),
      .r_en(advance),
      .r_addr(half_q ? word_q + VECTOR[ADDR_W-1:0] : word_q),
      .q(m_data)
  );
endmodule
`default_nettype wire
