// Folded matrix-vector unit of bit planes: PE rows (outputs, or planes of them) at a time, SIMD inputs a beat.
// sum[pe] = sum over N_BEATS inputs, each in N_TURNS beats, and planes q of COEFFS[turn][q] * popcount(gate(weight[pe], x[q]))
// One beat a cycle in; the sums follow 3 + LATENCY cycles after a vector's last beat. Weight words run
// through the ROM in order: row fold, then beat; lane 0 of PE 0 in the low bit, masks above a PE's signs.
`default_nettype none
module bnn_matvec #(
    parameter PE = 1,  // rows computed together
    parameter SIMD = 2,  // inputs of a beat
    parameter PLANES = 1,  // planes of a beat
    parameter N_TURNS = 1,  // beats in which the planes of the same inputs come
    parameter GATE = 0,  // 0: weight xnor x; 1: weight and x; 2: mask and (weight xnor x)
    parameter N_BEATS = 1,  // beats of a vector in each turn
    parameter N_WORDS = 1,  // weight words: row folds times N_BEATS
    parameter COUNT_W = 2,  // bits of a popcount up to SIMD
    parameter SUM_W = 4,  // bits of a signed sum, more than COUNT_W; sums wrap on the way, not at the end
    parameter [N_TURNS*PLANES*SUM_W-1:0] COEFFS = 1,  // signed coefficient of each plane in each turn
    parameter BEAT_W = 1,  // bits of an index of beats
    parameter TURN_W = 1,  // bits of an index of turns
    parameter ADDR_W = 1,  // bits of an index of weight words
    parameter JOINT = 0,  // 1: the planes of a beat, which come in one turn, are summed together
    parameter LATENCY = 0,  // registers in a popcount, or in a joint sum
    parameter STYLE = "auto",  // of the weights' memory, as in bnn_rom
    parameter WRITABLE = 0,  // 1: w_en writes a weight word
    parameter FILE = ""  // weights
) (
    input wire clk,
    input wire rst,
    input wire [PLANES*SIMD-1:0] s_data,
    input wire s_valid,
    output wire s_ready,
    output wire [PE*SUM_W-1:0] m_data,
    output wire m_valid,
    input wire m_ready,
    input wire w_en,
    input wire [ADDR_W-1:0] w_addr,
    input wire [PE*(GATE==2?2*SIMD : SIMD)-1:0] w_data
);
  localparam [BEAT_W-1:0] LAST_BEAT = N_BEATS[BEAT_W-1:0] - 1'b1;
  localparam [ADDR_W-1:0] LAST_WORD = N_WORDS[ADDR_W-1:0] - 1'b1;

  reg [PLANES*SIMD-1:0] x_q;
  reg [ADDR_W-1:0] addr_q;
  reg [BEAT_W-1:0] beat_q;
  reg valid1_q, first1_q, last1_q, valid3_q;
  reg [LATENCY:0] valid2_q, first2_q, last2_q;  // bit LATENCY beside the counts
  integer k;
  wire advance = !valid3_q || m_ready;
  wire take = s_valid && advance;
  assign s_ready = advance;
  assign m_valid = valid3_q;

  // Turns of a beat: the weight word stays, the coefficients change.
  wire first_turn, last_turn;
  wire [PLANES*SUM_W-1:0] coeffs;
  generate
    if (N_TURNS == 1) begin : g_one_turn
      assign first_turn = 1'b1;
      assign last_turn = 1'b1;
      assign coeffs = COEFFS;
    end else begin : g_turns
      localparam [TURN_W-1:0] LAST_TURN = N_TURNS[TURN_W-1:0] - 1'b1;
      reg [TURN_W-1:0] turn_q, turn1_q;
      reg [(LATENCY+1)*TURN_W-1:0] turn2_q;
      wire [TURN_W-1:0] turn = turn2_q[LATENCY*TURN_W+:TURN_W];  // beside the counts
      assign first_turn = turn_q == 0;
      assign last_turn = turn_q == LAST_TURN;
      reg [PLANES*SUM_W-1:0] chosen;  // not by an index, whose product with the width some tools multiply in a DSP
      integer j, t;
      always @* begin
        chosen = COEFFS[PLANES*SUM_W-1:0];
        for (t = 1; t < N_TURNS; t = t + 1) begin
          if ({{32 - TURN_W{1'b0}}, turn} == t) chosen = COEFFS[t*PLANES*SUM_W+:PLANES*SUM_W];
        end
      end
      assign coeffs = chosen;
      always @(posedge clk) begin
        if (take) begin
          turn_q <= last_turn ? {TURN_W{1'b0}} : turn_q + 1'b1;
          turn1_q <= turn_q;
        end
        if (advance) begin
          turn2_q[0+:TURN_W] <= turn1_q;
          for (j = 1; j <= LATENCY; j = j + 1) turn2_q[j*TURN_W+:TURN_W] <= turn2_q[(j-1)*TURN_W+:TURN_W];
        end
        if (rst) turn_q <= 0;
      end
    end
  endgenerate

  always @(posedge clk) begin
    if (take) begin
      x_q <= s_data;
      first1_q <= beat_q == 0 && first_turn;
      last1_q <= beat_q == LAST_BEAT && last_turn;
      if (last_turn) begin
        beat_q <= beat_q == LAST_BEAT ? {BEAT_W{1'b0}} : beat_q + 1'b1;
        addr_q <= addr_q == LAST_WORD ? {ADDR_W{1'b0}} : addr_q + 1'b1;
      end
    end
    if (advance) begin
      valid1_q <= s_valid;
      valid2_q[0] <= valid1_q;
      first2_q[0] <= first1_q;
      last2_q[0] <= last1_q;
      for (k = 1; k <= LATENCY; k = k + 1) begin
        valid2_q[k] <= valid2_q[k-1];
        first2_q[k] <= first2_q[k-1];
        last2_q[k] <= last2_q[k-1];
      end
      valid3_q <= valid2_q[LATENCY] && last2_q[LATENCY];
    end
    if (rst) begin
      addr_q <= 0;
      beat_q <= 0;
      valid1_q <= 1'b0;
      valid2_q <= 0;
      valid3_q <= 1'b0;
    end
  end

  localparam PE_W = GATE == 2 ? 2 * SIMD : SIMD;
  wire [PE*PE_W-1:0] weights;
  generate
    if (WRITABLE) begin : g_writable
      bnn_ram #(
          .DATA_W(PE * PE_W),
          .N_WORDS(N_WORDS),
          .ADDR_W(ADDR_W),
          .STYLE(STYLE),
          .FILE(FILE)
      ) u_weights (
          .clk(clk),
          .w_en(w_en),
          .w_addr(w_addr),
          .w_data(w_data),
          .r_en(take),
          .r_addr(addr_q),
          .q(weights)
      );
    end else begin : g_fixed
      wire unused = ^{w_en, w_addr, w_data};
      (* keep_hierarchy = N_WORDS > 1 *)
      bnn_rom #(
          .DATA_W(PE * PE_W),
          .N_WORDS(N_WORDS),
          .ADDR_W(ADDR_W),
          .STYLE(STYLE),
          .FILE(FILE)
      ) u_weights (
          .clk(clk),
          .en(take),
          .addr(addr_q),
          .q(weights)
      );
    end
  endgenerate

  genvar p, q;
  generate
    for (p = 0; p < PE; p = p + 1) begin : g_pe
      wire [SUM_W-1:0] partial;  // sum of a beat's planes
      if (JOINT) begin : g_joint
        wire [SUM_W-1:0] dot;
        reg [SUM_W-1:0] dot_q;
        bnn_dot #(
            .N_BITS(SIMD),
            .PLANES(PLANES),
            .SUM_W(SUM_W),
            .COEFFS(COEFFS[PLANES*SUM_W-1:0]),
            .GATE(GATE),
            .WEIGHT_W(PE_W),
            .LATENCY(LATENCY)
        ) u_dot (
            .clk(clk),
            .en(advance),
            .x(x_q),
            .weight(weights[p*PE_W+:PE_W]),
            .dot(dot)
        );
        always @(posedge clk) if (advance) dot_q <= dot;
        assign partial = dot_q;
        wire unused = ^coeffs;
      end else begin : g_planes
        wire [SUM_W-1:0] summed[0:PLANES];
        assign summed[0] = 0;
        for (q = 0; q < PLANES; q = q + 1) begin : g_plane
          wire [COUNT_W-1:0] count;
          reg [COUNT_W-1:0] count_q;
          bnn_popcount #(
              .N_BITS(SIMD),
              .COUNT_W(COUNT_W),
              .GATE(GATE),
              .WEIGHT_W(PE_W),
              .LATENCY(LATENCY)
          ) u_popcount (
              .clk(clk),
              .en(advance),
              .x(x_q[q*SIMD+:SIMD]),
              .weight(weights[p*PE_W+:PE_W]),
              .count(count)
          );
          always @(posedge clk) if (advance) count_q <= count;
          wire [SUM_W-1:0] coeff = coeffs[q*SUM_W+:SUM_W];
          assign summed[q+1] = summed[q] + coeff * {{SUM_W - COUNT_W{1'b0}}, count_q};
        end
        assign partial = summed[PLANES];
      end
      reg [SUM_W-1:0] sum_q;
      always @(posedge clk) begin
        if (advance && valid2_q[LATENCY]) sum_q <= first2_q[LATENCY] ? partial : sum_q + partial;
      end
      assign m_data[p*SUM_W+:SUM_W] = sum_q;
    end
  endgenerate
endmodule
`default_nettype wire
