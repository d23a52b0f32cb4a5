// Block RAM and multiplier of Lattice ECP5 in the modes in which Yosys uses them for rtl/: DP16KD and MULT18X18D. In Yosys'
// cells_sim.v the first is a shell without behaviour, and the second is missing.
// Documents: Lattice FPGA-TN-02204, ECP5 and ECP5-5G Memory User Guide, and FPGA-TN-02205, ECP5 and ECP5-5G sysDSP Usage Guide;
// how words lie in ports and INITVAL_xx also in Yosys' brams_map.v, the order of the halves of 36 bits only there.
// Modelled: port A reads and writes, port B reads, in words of the same width: 1, 2, 4, 9, 18 bits; and 36 bits, written by A from
// DIB and DIA, read by B to DOB and DOA, the high half first. Write enables of bytes in the low address bits. Contents from
// INITVAL_xx. Port A reads what it writes as WRITEMODE_A says. A word that B reads while A writes it is undefined: here inverted.
// MULT18X18D: the product without registers.
// Refused by $fatal: a use of ports of unequal widths, writes by B, reads of 36 bits by A, output registers, inverted clocks, chip
// selects, resets; the shift inputs of MULT18X18D.
// Refused at elaboration: every other port and, in Verilator, parameter (Icarus warns of it). PDPW16KD is never emitted.
`define REFUSE(condition, what) if (condition) begin $display("%m: %0s is not modelled", what); $fatal; end
`define ZERO(n) n``0 = 0, n``1 = 0, n``2 = 0, n``3 = 0, n``4 = 0, n``5 = 0, n``6 = 0, n``7 = 0, \
    n``8 = 0, n``9 = 0, n``A = 0, n``B = 0, n``C = 0, n``D = 0, n``E = 0, n``F = 0
`define ALL(n) n``F, n``E, n``D, n``C, n``B, n``A, n``9, n``8, n``7, n``6, n``5, n``4, n``3, n``2, n``1, n``0
`define BITS14(n) n``13, n``12, n``11, n``10, n``9, n``8, n``7, n``6, n``5, n``4, n``3, n``2, n``1, n``0
`define BITS18(n) n``17, n``16, n``15, n``14, `BITS14(n)
`define BITS36(n) n``35, n``34, n``33, n``32, n``31, n``30, n``29, n``28, n``27, n``26, n``25, n``24, n``23, n``22, n``21, n``20, \
    n``19, n``18, `BITS18(n)
module DP16KD (
    input CLKA, CEA, OCEA, WEA, RSTA, CSA2, CSA1, CSA0,
    input CLKB, CEB, OCEB, WEB, RSTB, CSB2, CSB1, CSB0,
    input `BITS14(ADA),
    input `BITS14(ADB),
    input `BITS18(DIA),
    input `BITS18(DIB),
    output `BITS18(DOA),
    output `BITS18(DOB)
);
  parameter DATA_WIDTH_A = 18, DATA_WIDTH_B = 18;
  parameter REGMODE_A = "NOREG", REGMODE_B = "NOREG", WRITEMODE_A = "NORMAL", WRITEMODE_B = "NORMAL";
  parameter CSDECODE_A = "0b000", CSDECODE_B = "0b000", CLKAMUX = "CLKA", CLKBMUX = "CLKB";
  parameter RESETMODE = "SYNC", ASYNC_RESET_RELEASE = "SYNC", GSR = "ENABLED";  // of no effect without a reset
  parameter [319:0] `ZERO(INITVAL_0), `ZERO(INITVAL_1), `ZERO(INITVAL_2), `ZERO(INITVAL_3);
  localparam WIDTH = DATA_WIDTH_A;
  localparam LOW = WIDTH < 9 ? $clog2(WIDTH) : $clog2(WIDTH / 9) + 3;  // address bits that are below a word
  localparam N_BYTES = WIDTH < 18 ? 1 : WIDTH / 9;
  localparam BYTE_W = WIDTH / N_BYTES;
  initial begin
    `REFUSE(WIDTH != 1 && WIDTH != 2 && WIDTH != 4 && WIDTH != 9 && WIDTH != 18 && WIDTH != 36, "the width of the words")
    `REFUSE(REGMODE_A != "NOREG" || REGMODE_B != "NOREG", "an output register")
    `REFUSE(CSDECODE_A != "0b000" || CSDECODE_B != "0b000", "a chip select")
    `REFUSE(CLKAMUX != "CLKA" || CLKBMUX != "CLKB", "an inverted clock")
    `REFUSE(WRITEMODE_A != "NORMAL" && WRITEMODE_A != "WRITETHROUGH" && WRITEMODE_A != "READBEFOREWRITE", "this WRITEMODE_A")
  end
  wire [13:0] addr_a = {`BITS14(ADA)}, addr_b = {`BITS14(ADB)};
  wire [13-LOW:0] word_a = addr_a[13:LOW], word_b = addr_b[13:LOW];
  wire [35:0] d = {`BITS18(DIB), `BITS18(DIA)};
  reg [WIDTH-1:0] mem[0:(1<<(14-LOW))-1];
  reg [WIDTH-1:0] q_a, q_b;
  wire [WIDTH-1:0] mask, written;
  genvar b;
  generate
    for (b = 0; b < N_BYTES; b = b + 1) begin : g_byte
      assign mask[BYTE_W*b+:BYTE_W] = {BYTE_W{N_BYTES == 1 || addr_a[b]}};
    end
  endgenerate
  assign written = (mem[word_a] & ~mask) | (d[WIDTH-1:0] & mask);
  wire w_en = CEA && WEA;
  wire [35:0] all_a = q_a, all_b = q_b;
  assign {`BITS18(DOA)} = WIDTH == 36 ? all_b[17:0] : all_a[17:0];
  assign {`BITS18(DOB)} = WIDTH == 36 ? all_b[35:18] : all_b[17:0];
  initial begin : contents
    reg [20479:0] rows;  // of two bytes of 9 bits, one every 20
    integer i, n;  // n: data bits before the word
    rows = {`ALL(INITVAL_3), `ALL(INITVAL_2), `ALL(INITVAL_1), `ALL(INITVAL_0)};
    for (i = 0; i < 1 << (14 - LOW); i = i + 1) begin
      n = i << LOW;
      if (WIDTH == 36) mem[i] = {rows[40*i+20+:18], rows[40*i+:18]};
      else mem[i] = rows[n/16*20+n/8%2*9+n%8+:WIDTH];
    end
  end
  always @(posedge CLKA) begin
    if (w_en) mem[word_a] <= written;
    if (CEA && (!WEA || WRITEMODE_A != "NORMAL")) q_a <= WEA && WRITEMODE_A == "WRITETHROUGH" ? written : mem[word_a];
    `REFUSE(RSTA, "a reset of the output")
    `REFUSE({CSA2, CSA1, CSA0} != 0, "a chip select")
    `REFUSE(WIDTH == 36 && CEA && !WEA, "a read of 36 bits by port A")
  end
  always @(posedge CLKB) begin
    if (CEB) q_b <= w_en && mask != 0 && word_a == word_b ? ~mem[word_b] : mem[word_b];
    `REFUSE(RSTB, "a reset of the output")
    `REFUSE({CSB2, CSB1, CSB0} != 0, "a chip select")
    `REFUSE(CEB && WEB, "a write by port B")
    `REFUSE(CEB && DATA_WIDTH_B != WIDTH, "a port B of another width than A")
  end
endmodule
module MULT18X18D (
    input `BITS18(A),
    input `BITS18(B),
    input `BITS18(C),
    input SIGNEDA, SIGNEDB, SOURCEA, SOURCEB,
    output `BITS36(P)
);
  wire [17:0] a = {`BITS18(A)}, b = {`BITS18(B)};
  reg [35:0] p;
  assign {`BITS36(P)} = p;
  always @* begin
    p = {{18{SIGNEDA && a[17]}}, a} * {{18{SIGNEDB && b[17]}}, b};
    `REFUSE(SOURCEA || SOURCEB, "a shift input")
  end
endmodule
`undef REFUSE
`undef ZERO
`undef ALL
`undef BITS14
`undef BITS18
`undef BITS36
