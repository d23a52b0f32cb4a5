// Block RAMs and the multiplier of Xilinx UltraScale+ in the modes in which Yosys uses them for rtl/: RAMB18E2, RAMB36E2 and
// DSP48E2, of which Yosys' cells_sim.v has nothing.
// Documents: Xilinx UG573, UltraScale Architecture Memory Resources, and UG579, UltraScale Architecture DSP Slice; how words lie
// in ports and INIT_xx also in Yosys' brams_xcu_map.v.
// Modelled: one port reads, or one port reads and the other writes, in words of the same width: 1, 2, 4, 9, 18 bits, in RAMB36E2
// also 36; and the full width, 36 or 72 bits, read by A and written by B. Write enables of bytes. Contents from INIT_xx and
// INITP_xx. A word that is read while it is written is the old one in READ_FIRST mode, else undefined: here inverted. The output
// is unknown before the first read, whatever INIT_A and INIT_B say. DSP48E2: the signed product of A and B, without registers.
// Refused by $fatal: other widths, a port that reads and writes, two that do the same, output registers, resets, sleep; in
// DSP48E2 registers, cascades and every other operation.
// Refused at elaboration: every other port and, in Verilator, parameter (Icarus warns of it).
`define REFUSE(condition, what) if (condition) begin $display("%m: %0s is not modelled", what); $fatal; end
`define ZERO8(n) n``0 = 0, n``1 = 0, n``2 = 0, n``3 = 0, n``4 = 0, n``5 = 0, n``6 = 0, n``7 = 0
`define ZERO(n) `ZERO8(n), n``8 = 0, n``9 = 0, n``A = 0, n``B = 0, n``C = 0, n``D = 0, n``E = 0, n``F = 0
`define ALL8(n) n``7, n``6, n``5, n``4, n``3, n``2, n``1, n``0
`define ALL(n) n``F, n``E, n``D, n``C, n``B, n``A, n``9, n``8, `ALL8(n)
// One array of words, each of its parity bits above its data bits; one port writes, one reads.
module bnn_ramb_xcup #(
    parameter KBITS = 16,  // data bits, in units of 1024: 16 or 32
    parameter READ_A = 0,  // bits of a word that port A reads, 0 where it does not
    parameter READ_B = 0,  // and B
    parameter WRITE_A = 0,  // bits of a word that port A writes, 0 where it does not
    parameter WRITE_B = 0,  // and B
    parameter MODE_A = "WRITE_FIRST",  // what is read of a word that port A writes
    parameter MODE_B = "WRITE_FIRST",  // and B
    parameter [KBITS*1024-1:0] DATA = 0,  // contents
    parameter [KBITS*128-1:0] PARITY = 0  // contents
) (
    input clk_a, clk_b, en_a, en_b, rst_a, rst_b,
    input [$clog2(KBITS)+9:0] addr_a, addr_b,
    input [KBITS/8-1:0] we_a,
    input [KBITS/4-1:0] we_b,
    input [KBITS-1:0] d_a, d_b,
    input [KBITS/8-1:0] dp_a, dp_b,
    output [KBITS-1:0] q_a, q_b,
    output [KBITS/8-1:0] qp_a, qp_b
);
  localparam FULL = KBITS * 9 / 4;  // both halves of the data ports together
  localparam WIDTH = READ_A | READ_B | WRITE_A | WRITE_B;
  localparam N_BYTES = WIDTH < 9 ? 1 : WIDTH / 9;
  localparam DATA_W = WIDTH < 9 ? WIDTH : 8 * N_BYTES;
  localparam LOW = $clog2(DATA_W);  // address bits that are below a word
  localparam WORD_W = $clog2(KBITS) + 10 - LOW;
  localparam OLD = (WRITE_A != 0 ? MODE_A : MODE_B) == "READ_FIRST";
  localparam KNOWN = WIDTH == 1 || WIDTH == 2 || WIDTH == 4 || WIDTH == 9 || WIDTH == 18 || WIDTH == 36 || WIDTH == 72;
  initial begin
    `REFUSE(READ_A != 0 && (READ_B != 0 || WRITE_A != 0) || WRITE_B != 0 && (READ_B != 0 || WRITE_A != 0), "this use of both ports")
    `REFUSE(READ_A + READ_B != WIDTH || WRITE_A + WRITE_B != 0 && WRITE_A + WRITE_B != WIDTH, "a write of another width than the read")
    `REFUSE(!KNOWN || WIDTH > FULL, "the width of the words")
    `REFUSE(WIDTH == FULL && READ_A == 0, "a read of full width by port B")
  end
  // the ports, by what they do
  wire w_clk = WRITE_A != 0 ? clk_a : clk_b;
  wire w_on = WRITE_A != 0 ? en_a : WRITE_B != 0 && en_b;
  wire [KBITS/4-1:0] bytes = WIDTH == FULL ? we_b : WRITE_A != 0 ? {2{we_a}} : {2{we_b[KBITS/8-1:0]}};
  wire [WORD_W-1:0] w_word = WRITE_A != 0 ? addr_a[LOW+:WORD_W] : addr_b[LOW+:WORD_W];
  wire [2*KBITS-1:0] d = WIDTH == FULL ? {d_b, d_a} : WRITE_A != 0 ? d_a : d_b;
  wire [KBITS/4-1:0] dp = WIDTH == FULL ? {dp_b, dp_a} : WRITE_A != 0 ? dp_a : dp_b;
  wire r_clk = READ_A != 0 ? clk_a : clk_b;
  wire r_en = READ_A != 0 ? en_a : en_b;
  wire [WORD_W-1:0] r_word = READ_A != 0 ? addr_a[LOW+:WORD_W] : addr_b[LOW+:WORD_W];
  wire w_en = w_on && bytes != 0;
  reg [WIDTH-1:0] mem[0:(1<<WORD_W)-1];
  reg [WIDTH-1:0] q;
  wire [WIDTH-1:0] word, mask;
  wire [2*KBITS-1:0] q_data = q[DATA_W-1:0];
  wire [KBITS/4-1:0] q_parity;
  genvar b;
  generate
    if (WIDTH < 9) begin : g_bits
      assign word = d[DATA_W-1:0];
      assign mask = {WIDTH{bytes[0]}};
      assign q_parity = 0;
    end else begin : g_bytes
      assign word = {dp[N_BYTES-1:0], d[DATA_W-1:0]};
      for (b = 0; b < N_BYTES; b = b + 1) begin : g_byte
        assign mask[8*b+:8] = {8{bytes[b]}};
        assign mask[DATA_W+b] = bytes[b];
      end
      assign q_parity = q[WIDTH-1:DATA_W];
    end
  endgenerate
  assign q_a = q_data[KBITS-1:0];
  assign qp_a = q_parity[KBITS/8-1:0];
  assign q_b = WIDTH == FULL ? q_data[2*KBITS-1:KBITS] : q_data[KBITS-1:0];
  assign qp_b = WIDTH == FULL ? q_parity[KBITS/4-1:KBITS/8] : q_parity[KBITS/8-1:0];
  initial begin : contents
    reg [KBITS*1024-1:0] data;
    reg [KBITS*128-1:0] parity;
    integer i;
    data = DATA;
    parity = PARITY;
    for (i = 0; i < 1 << WORD_W; i = i + 1)
      if (WIDTH < 9) mem[i] = data[DATA_W*i+:DATA_W];
      else mem[i] = {parity[N_BYTES*i+:N_BYTES], data[DATA_W*i+:DATA_W]};
  end
  always @(posedge w_clk)
    if (w_en) begin
      mem[w_word] <= (mem[w_word] & ~mask) | (word & mask);
      `REFUSE(bytes != {KBITS / 4 / N_BYTES{bytes[N_BYTES-1:0]}}, "a write enable of part of a byte")
    end
  always @(posedge r_clk) begin
    if (r_en) q <= !OLD && w_en && w_word == r_word ? ~mem[r_word] : mem[r_word];
    `REFUSE(rst_a || rst_b, "a reset of the output")
  end
endmodule
module RAMB18E2 (
    input CLKARDCLK, CLKBWRCLK, ENARDEN, ENBWREN, REGCEAREGCE, REGCEB, RSTRAMARSTRAM, RSTRAMB, RSTREGARSTREG, RSTREGB,
    input ADDRENA, ADDRENB, SLEEP,
    input [13:0] ADDRARDADDR, ADDRBWRADDR,
    input [15:0] DINADIN, DINBDIN,
    input [1:0] DINPADINP, DINPBDINP,
    input [1:0] WEA,
    input [3:0] WEBWE,
    output [15:0] DOUTADOUT, DOUTBDOUT,
    output [1:0] DOUTPADOUTP, DOUTPBDOUTP
);
  parameter READ_WIDTH_A = 0, READ_WIDTH_B = 0, WRITE_WIDTH_A = 0, WRITE_WIDTH_B = 0, DOA_REG = 1, DOB_REG = 1;
  parameter WRITE_MODE_A = "NO_CHANGE", WRITE_MODE_B = "NO_CHANGE";
  parameter INIT_A = 0, INIT_B = 0, SRVAL_A = 0, SRVAL_B = 0;  // of no effect
  parameter [255:0] `ZERO8(INITP_0);
  parameter [255:0] `ZERO(INIT_0), `ZERO(INIT_1), `ZERO(INIT_2), `ZERO(INIT_3);
  initial begin
    `REFUSE(DOA_REG != 0 || DOB_REG != 0, "an output register")
  end
  always @(posedge CLKARDCLK or posedge CLKBWRCLK) `REFUSE(SLEEP, "sleep")
  bnn_ramb_xcup #(
      .KBITS(16),
      .READ_A(READ_WIDTH_A),
      .READ_B(READ_WIDTH_B),
      .WRITE_A(WRITE_WIDTH_A),
      .WRITE_B(WRITE_WIDTH_B),
      .MODE_A(WRITE_MODE_A),
      .MODE_B(WRITE_MODE_B),
      .DATA({`ALL(INIT_3), `ALL(INIT_2), `ALL(INIT_1), `ALL(INIT_0)}),
      .PARITY({`ALL8(INITP_0)})
  ) u_ramb (
      .clk_a(CLKARDCLK),
      .clk_b(CLKBWRCLK),
      .en_a(ENARDEN),
      .en_b(ENBWREN),
      .rst_a(RSTRAMARSTRAM),
      .rst_b(RSTRAMB),
      .addr_a(ADDRARDADDR),
      .addr_b(ADDRBWRADDR),
      .we_a(WEA),
      .we_b(WEBWE),
      .d_a(DINADIN),
      .d_b(DINBDIN),
      .dp_a(DINPADINP),
      .dp_b(DINPBDINP),
      .q_a(DOUTADOUT),
      .q_b(DOUTBDOUT),
      .qp_a(DOUTPADOUTP),
      .qp_b(DOUTPBDOUTP)
  );
endmodule
module RAMB36E2 (
    input CLKARDCLK, CLKBWRCLK, ENARDEN, ENBWREN, REGCEAREGCE, REGCEB, RSTRAMARSTRAM, RSTRAMB, RSTREGARSTREG, RSTREGB,
    input ADDRENA, ADDRENB, SLEEP,
    input [15:0] ADDRARDADDR, ADDRBWRADDR,
    input [31:0] DINADIN, DINBDIN,
    input [3:0] DINPADINP, DINPBDINP,
    input [3:0] WEA,
    input [7:0] WEBWE,
    output [31:0] DOUTADOUT, DOUTBDOUT,
    output [3:0] DOUTPADOUTP, DOUTPBDOUTP
);
  parameter READ_WIDTH_A = 0, READ_WIDTH_B = 0, WRITE_WIDTH_A = 0, WRITE_WIDTH_B = 0, DOA_REG = 1, DOB_REG = 1;
  parameter WRITE_MODE_A = "NO_CHANGE", WRITE_MODE_B = "NO_CHANGE";
  parameter INIT_A = 0, INIT_B = 0, SRVAL_A = 0, SRVAL_B = 0;  // of no effect
  parameter [255:0] `ZERO(INITP_0);
  parameter [255:0] `ZERO(INIT_0), `ZERO(INIT_1), `ZERO(INIT_2), `ZERO(INIT_3), `ZERO(INIT_4), `ZERO(INIT_5), `ZERO(INIT_6), `ZERO(INIT_7);
  initial begin
    `REFUSE(DOA_REG != 0 || DOB_REG != 0, "an output register")
  end
  always @(posedge CLKARDCLK or posedge CLKBWRCLK) `REFUSE(SLEEP, "sleep")
  bnn_ramb_xcup #(
      .KBITS(32),
      .READ_A(READ_WIDTH_A),
      .READ_B(READ_WIDTH_B),
      .WRITE_A(WRITE_WIDTH_A),
      .WRITE_B(WRITE_WIDTH_B),
      .MODE_A(WRITE_MODE_A),
      .MODE_B(WRITE_MODE_B),
      .DATA({`ALL(INIT_7), `ALL(INIT_6), `ALL(INIT_5), `ALL(INIT_4), `ALL(INIT_3), `ALL(INIT_2), `ALL(INIT_1), `ALL(INIT_0)}),
      .PARITY({`ALL(INITP_0)})
  ) u_ramb (
      .clk_a(CLKARDCLK),
      .clk_b(CLKBWRCLK),
      .en_a(ENARDEN),
      .en_b(ENBWREN),
      .rst_a(RSTRAMARSTRAM),
      .rst_b(RSTRAMB),
      .addr_a(ADDRARDADDR[14:0]),
      .addr_b(ADDRBWRADDR[14:0]),
      .we_a(WEA),
      .we_b(WEBWE),
      .d_a(DINADIN),
      .d_b(DINBDIN),
      .dp_a(DINPADINP),
      .dp_b(DINPBDINP),
      .q_a(DOUTADOUT),
      .q_b(DOUTBDOUT),
      .qp_a(DOUTPADOUTP),
      .qp_b(DOUTPBDOUTP)
  );
endmodule
module DSP48E2 (
    input [29:0] A, ACIN,
    input [17:0] B, BCIN,
    input [47:0] C, PCIN,
    input [26:0] D,
    input [4:0] INMODE,
    input [3:0] ALUMODE,
    input [8:0] OPMODE,
    input [2:0] CARRYINSEL,
    input CARRYIN,
    output reg [47:0] P
);
  parameter ACASCREG = 1, ADREG = 1, ALUMODEREG = 1, AREG = 1, BCASCREG = 1, BREG = 1, CARRYINREG = 1, CARRYINSELREG = 1, CREG = 1;
  parameter DREG = 1, INMODEREG = 1, MREG = 1, OPMODEREG = 1, PREG = 1;
  parameter A_INPUT = "DIRECT", B_INPUT = "DIRECT", AMULTSEL = "A", BMULTSEL = "B", USE_MULT = "MULTIPLY", USE_SIMD = "ONE48";
  localparam REGISTERS = ADREG + ALUMODEREG + AREG + BREG + CARRYINREG + CARRYINSELREG + CREG + DREG + INMODEREG + MREG + OPMODEREG + PREG;
  initial begin
    `REFUSE(REGISTERS != 0, "a register")
    `REFUSE(A_INPUT != "DIRECT" || B_INPUT != "DIRECT", "a cascade")
    `REFUSE(AMULTSEL != "A" || BMULTSEL != "B" || USE_MULT != "MULTIPLY" || USE_SIMD != "ONE48", "an operation other than A * B")
  end
  wire [47:0] a = {{21{A[26]}}, A[26:0]};
  wire [47:0] b = {{30{B[17]}}, B};
  always @* begin
    P = a * b;
    `REFUSE(OPMODE != 9'h005 || INMODE != 0 || ALUMODE != 0 || CARRYINSEL != 0 || CARRYIN != 0, "an operation other than A * B")
  end
endmodule
`undef REFUSE
`undef ZERO8
`undef ZERO
`undef ALL8
`undef ALL
