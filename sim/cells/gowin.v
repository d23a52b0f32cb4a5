// Block RAMs and multipliers of Gowin LittleBee and Arora in the modes in which Yosys uses them for rtl/: SP, SPX9, DPB, DPX9B,
// SDPX9B, MULT9X9, MULT18X18, MULT36X36, and what Yosys before 0.38 used in place of the B cells: DP, DPX9, SDPX9. In Yosys'
// cells_sim.v they are shells without behaviour, or missing.
// Documents: Gowin UG285, BSRAM & SSRAM User Guide, UG287, DSP User Guide, and SUG283, Primitives User Guide; how words lie in
// ports and INIT_RAM_xx also in Yosys' brams_map.v.
// Modelled: port A (or 0) reads and writes, port B (or 1) reads, both in words of one width: 1, 2, 4, 8, 16, 32 bits, in the X9
// cells 9, 18, 36; 16 or 18 at most where both ports have data in and out. Write enables of bytes in the low address bits from
// 16 bits on. Contents from INIT_RAM_xx. Output without register: OCE is of no effect. Port A reads what it writes as WRITE_MODE
// says. A word that B reads while A writes it is undefined: here inverted. MULT: the product without registers.
// Refused by $fatal: other widths, a use of ports of unequal widths, writes by B, output registers, resets, BLKSEL other than
// BLK_SEL; the shift inputs of MULT.
// Refused at elaboration: every other port and, in Verilator, parameter (Icarus warns of it), as those of registers in MULT.
// SDP, SDPB, pROM and pROMX9 are never emitted.
`define REFUSE(condition, what) if (condition) begin $display("%m: %0s is not modelled", what); $fatal; end
`define ZERO(n) n``0 = 0, n``1 = 0, n``2 = 0, n``3 = 0, n``4 = 0, n``5 = 0, n``6 = 0, n``7 = 0, \
    n``8 = 0, n``9 = 0, n``A = 0, n``B = 0, n``C = 0, n``D = 0, n``E = 0, n``F = 0
`define ALL(n) n``F, n``E, n``D, n``C, n``B, n``A, n``9, n``8, n``7, n``6, n``5, n``4, n``3, n``2, n``1, n``0
`define CONTENTS {`ALL(INIT_RAM_3), `ALL(INIT_RAM_2), `ALL(INIT_RAM_1), `ALL(INIT_RAM_0)}
`define ROWS `ZERO(INIT_RAM_0), `ZERO(INIT_RAM_1), `ZERO(INIT_RAM_2), `ZERO(INIT_RAM_3)
// One array of words; port A reads and writes, port B reads.
module bnn_bsram_gowin #(
    parameter UNIT = 8,  // bits of a byte: 8 or 9
    parameter WIDTH = 8,  // bits of a word
    parameter WIDTH_B = 8,  // and of one at port B
    parameter WIDEST = 32,  // most bits of a word
    parameter MODE = 0,  // what A reads of a word that it writes: 0 nothing, 1 the new, 2 the old one
    parameter REGISTERS = 0,  // output registers
    parameter [64*32*UNIT-1:0] CONTENTS = 0
) (
    input a_clk, a_en, a_we, b_clk, b_en,
    input [13:0] a_addr, b_addr,
    input [WIDEST-1:0] a_d,
    output [WIDEST-1:0] a_q, b_q,
    input a_rst, b_rst, a_other, b_other, b_we  // resets, other blocks selected, a write by B
);
  localparam N_BYTES = WIDTH < 2 * UNIT ? 1 : WIDTH / UNIT;
  localparam BYTE_W = WIDTH / N_BYTES;
  localparam LOW = $clog2(UNIT == 9 ? WIDTH / 9 * 8 : WIDTH);  // address bits that are below a word
  localparam KNOWN = UNIT == 9 ? WIDTH == 9 || WIDTH == 18 || WIDTH == 36 : 1 << LOW == WIDTH;
  initial begin
    `REFUSE(!KNOWN || WIDTH > WIDEST, "the width of the words")
    `REFUSE(REGISTERS != 0, "an output register")
    `REFUSE(MODE > 2, "this WRITE_MODE")
  end
  wire [13-LOW:0] a_word = a_addr[13:LOW], b_word = b_addr[13:LOW];
  reg [WIDTH-1:0] mem[0:(1<<(14-LOW))-1];
  reg [WIDTH-1:0] qa, qb;
  wire [WIDTH-1:0] mask, written;
  genvar b;
  generate
    for (b = 0; b < N_BYTES; b = b + 1) begin : g_byte
      assign mask[BYTE_W*b+:BYTE_W] = {BYTE_W{N_BYTES == 1 || a_addr[b]}};
    end
  endgenerate
  assign written = (mem[a_word] & ~mask) | (a_d[WIDTH-1:0] & mask);
  assign a_q = qa;
  assign b_q = qb;
  initial begin : contents
    reg [64*32*UNIT-1:0] rows;
    integer i;
    rows = CONTENTS;
    for (i = 0; i < 1 << (14 - LOW); i = i + 1) mem[i] = rows[WIDTH*i+:WIDTH];
  end
  always @(posedge a_clk) begin
    if (a_en && a_we) mem[a_word] <= written;
    if (a_en && (!a_we || MODE != 0)) qa <= a_we && MODE == 1 ? written : mem[a_word];
    `REFUSE(a_rst, "a reset of the output")
    `REFUSE(a_en && a_other, "BLKSEL other than BLK_SEL")
  end
  always @(posedge b_clk) begin
    if (b_en) qb <= a_en && a_we && mask != 0 && a_word == b_word ? ~mem[b_word] : mem[b_word];
    `REFUSE(b_rst, "a reset of the output")
    `REFUSE(b_en && b_other, "BLKSEL other than BLK_SEL")
    `REFUSE(b_en && b_we, "a write by port B")
    `REFUSE(b_en && WIDTH_B != WIDTH, "a port B of another width than A")
  end
endmodule
// What is common to cells of one kind; `unit` is 8, or 9 in the X9 cells.
`define BLOCK(unit, width, width_b, widest, mode, registers) \
  parameter RESET_MODE = "SYNC";  /* of no effect without a reset */ \
  parameter [32*unit-1:0] `ROWS; \
  bnn_bsram_gowin #( \
      .UNIT(unit), .WIDTH(width), .WIDTH_B(width_b), .WIDEST(widest), .MODE(mode), .REGISTERS(registers), .CONTENTS(`CONTENTS) \
  ) u_bsram
`define SINGLE(unit) ( \
    input CLK, CE, OCE, WRE, RESET, \
    input [13:0] AD, \
    input [4*unit-1:0] DI, \
    input [2:0] BLKSEL, \
    output [4*unit-1:0] DO \
); \
  parameter READ_MODE = 0, WRITE_MODE = 0, BIT_WIDTH = 4 * unit, BLK_SEL = 0; \
  `BLOCK(unit, BIT_WIDTH, BIT_WIDTH, 4 * unit, WRITE_MODE, READ_MODE) ( \
      .a_clk(CLK), .a_en(CE), .a_we(WRE), .a_addr(AD), .a_d(DI), .a_q(DO), .a_rst(RESET), .a_other(BLKSEL != BLK_SEL), \
      .b_clk(1'b0), .b_en(1'b0), .b_we(1'b0), .b_addr(14'd0), .b_q(), .b_rst(1'b0), .b_other(1'b0) \
  );
`define DUAL(unit, select_ports, selects, other_a, other_b) ( \
    input CLKA, CEA, OCEA, WREA, RESETA, CLKB, CEB, OCEB, WREB, RESETB, \
    input [13:0] ADA, ADB, \
    input [2*unit-1:0] DIA, DIB, \
    input [2:0] select_ports, \
    output [2*unit-1:0] DOA, DOB \
); \
  parameter READ_MODE0 = 0, READ_MODE1 = 0, WRITE_MODE0 = 0, WRITE_MODE1 = 0, BIT_WIDTH_0 = 2 * unit, BIT_WIDTH_1 = 2 * unit, selects; \
  `BLOCK(unit, BIT_WIDTH_0, BIT_WIDTH_1, 2 * unit, WRITE_MODE0, READ_MODE0 + READ_MODE1) ( \
      .a_clk(CLKA), .a_en(CEA), .a_we(WREA), .a_addr(ADA), .a_d(DIA), .a_q(DOA), .a_rst(RESETA), .a_other(other_a), \
      .b_clk(CLKB), .b_en(CEB), .b_we(WREB), .b_addr(ADB), .b_q(DOB), .b_rst(RESETB), .b_other(other_b) \
  );
module SP `SINGLE(8) endmodule
module SPX9 `SINGLE(9) endmodule
`define PORTS BLKSELA, BLKSELB
`define SELECTS BLK_SEL_0 = 0, BLK_SEL_1 = 0
module DPB `DUAL(8, `PORTS, `SELECTS, BLKSELA != BLK_SEL_0, BLKSELB != BLK_SEL_1) endmodule
module DPX9B `DUAL(9, `PORTS, `SELECTS, BLKSELA != BLK_SEL_0, BLKSELB != BLK_SEL_1) endmodule
module DP `DUAL(8, BLKSEL, BLK_SEL = 0, BLKSEL != BLK_SEL, BLKSEL != BLK_SEL) endmodule
module DPX9 `DUAL(9, BLKSEL, BLK_SEL = 0, BLKSEL != BLK_SEL, BLKSEL != BLK_SEL) endmodule
module SDPX9B (
    input CLKA, CEA, RESETA, CLKB, CEB, OCE, RESETB,
    input [13:0] ADA, ADB,
    input [35:0] DI,
    input [2:0] BLKSELA, BLKSELB,
    output [35:0] DO
);
  parameter READ_MODE = 0, BIT_WIDTH_0 = 36, BIT_WIDTH_1 = 36, BLK_SEL_0 = 0, BLK_SEL_1 = 0;
  `BLOCK(9, BIT_WIDTH_0, BIT_WIDTH_1, 36, 0, READ_MODE) (
      .a_clk(CLKA), .a_en(CEA), .a_we(1'b1), .a_addr(ADA), .a_d(DI), .a_q(), .a_rst(RESETA), .a_other(BLKSELA != BLK_SEL_0),
      .b_clk(CLKB), .b_en(CEB), .b_we(1'b0), .b_addr(ADB), .b_q(DO), .b_rst(RESETB), .b_other(BLKSELB != BLK_SEL_1)
  );
endmodule
module SDPX9 (
    input CLKA, CEA, RESETA, CLKB, CEB, OCE, RESETB, WREA, WREB,
    input [13:0] ADA, ADB,
    input [35:0] DI,
    input [2:0] BLKSEL,
    output [35:0] DO
);
  parameter READ_MODE = 0, BIT_WIDTH_0 = 36, BIT_WIDTH_1 = 36, BLK_SEL = 0;
  `BLOCK(9, BIT_WIDTH_0, BIT_WIDTH_1, 36, 0, READ_MODE) (
      .a_clk(CLKA), .a_en(CEA), .a_we(WREA), .a_addr(ADA), .a_d(DI), .a_q(), .a_rst(RESETA), .a_other(BLKSEL != BLK_SEL),
      .b_clk(CLKB), .b_en(CEB), .b_we(WREB), .b_addr(ADB), .b_q(DO), .b_rst(RESETB), .b_other(BLKSEL != BLK_SEL)
  );
endmodule
module MULT9X9 (
    input CLK, CE, RESET, ASIGN, BSIGN, ASEL, BSEL,
    input [8:0] A, B, SIA, SIB,
    output reg [17:0] DOUT
);
  always @* begin
    DOUT = {{9{ASIGN && A[8]}}, A} * {{9{BSIGN && B[8]}}, B};
    `REFUSE(ASEL || BSEL, "a shift input")
  end
endmodule
module MULT18X18 (
    input CLK, CE, RESET, ASIGN, BSIGN, ASEL, BSEL,
    input [17:0] A, B, SIA, SIB,
    output reg [35:0] DOUT
);
  always @* begin
    DOUT = {{18{ASIGN && A[17]}}, A} * {{18{BSIGN && B[17]}}, B};
    `REFUSE(ASEL || BSEL, "a shift input")
  end
endmodule
module MULT36X36 (
    input CLK, CE, RESET, ASIGN, BSIGN,
    input [35:0] A, B,
    output reg [71:0] DOUT
);
  always @* DOUT = {{36{ASIGN && A[35]}}, A} * {{36{BSIGN && B[35]}}, B};
endmodule
`undef REFUSE
`undef ZERO
`undef ALL
`undef CONTENTS
`undef ROWS
`undef BLOCK
`undef SINGLE
`undef DUAL
`undef PORTS
`undef SELECTS
