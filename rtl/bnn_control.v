// Registers at an AXI4-Lite port, by which weights and thresholds are written while the network runs.
// A write of a word while frames are inside, of part of a register, or to what there is not, and a read elsewhere, is answered with an error and does nothing.
`default_nettype none
module bnn_control #(
    parameter N_MEMORIES = 1,  // memories that are written
    parameter DATA_W = 32,  // bits of the widest word, a multiple of 32
    parameter ADDR_W = 1,  // bits of an address
    parameter MEMORY_W = 1,  // bits of an index of memories
    parameter [N_MEMORIES*(ADDR_W+1)-1:0] WORDS = 2,  // words of each memory
    parameter [31:0] IDENTITY = 0  // of the memories' layout
) (
    input wire clk,
    input wire rst,
    input wire [11:0] s_axi_awaddr,
    input wire s_axi_awvalid,
    output wire s_axi_awready,
    input wire [31:0] s_axi_wdata,
    input wire [3:0] s_axi_wstrb,
    input wire s_axi_wvalid,
    output wire s_axi_wready,
    output wire [1:0] s_axi_bresp,
    output wire s_axi_bvalid,
    input wire s_axi_bready,
    input wire [11:0] s_axi_araddr,
    input wire s_axi_arvalid,
    output wire s_axi_arready,
    output wire [31:0] s_axi_rdata,
    output wire [1:0] s_axi_rresp,
    output wire s_axi_rvalid,
    input wire s_axi_rready,
    output wire hold,
    input wire idle,
    input wire err,
    input wire [31:0] frames,
    output wire [N_MEMORIES-1:0] w_en,
    output wire [ADDR_W-1:0] w_addr,
    output wire [DATA_W-1:0] w_data
);
  // Registers, in words of 4 bytes
  localparam [9:0] AT_IDENTITY = 0;  // r
  localparam [9:0] AT_HOLD = 1;  // rw: 1 lets no further frame in, 0 goes on
  localparam [9:0] AT_STATUS = 2;  // r: bit 0 held and no frame inside, bit 1 a frame was wrong since reset
  localparam [9:0] AT_FRAMES = 3;  // r: that left since reset
  localparam [9:0] AT_MEMORY = 4;  // rw: that words go to
  localparam [9:0] AT_DATA = 5;  // w: the next 32 bits of a word, low ones first
  localparam [9:0] AT_WORD = 6;  // w: an address, to which the word goes; one of n times 32 bits lies in the high ones of w_data
  localparam [1:0] OKAY = 2'b00, SLVERR = 2'b10;

  reg hold_q, bvalid_q, rvalid_q, bad_write_q, bad_read_q;
  reg [MEMORY_W-1:0] memory_q;
  reg [DATA_W-1:0] word_q;
  reg [31:0] rdata_q;
  assign hold = hold_q;

  // A write is taken with its data, when the answer to the one before is gone.
  wire write = s_axi_awvalid && s_axi_wvalid && !bvalid_q && !rst;
  wire [9:0] to = s_axi_awaddr[11:2];
  wire whole = &s_axi_wstrb && s_axi_awaddr[1:0] == 0;
  reg [31:0] words;  // of the memory
  integer m;
  always @* begin
    words = 0;
    for (m = 0; m < N_MEMORIES; m = m + 1) begin
      if ({{32 - MEMORY_W{1'b0}}, memory_q} == m) words = {{31 - ADDR_W{1'b0}}, WORDS[m*(ADDR_W+1)+:ADDR_W+1]};
    end
  end
  wire there = s_axi_wdata < (to == AT_WORD ? words : N_MEMORIES);
  wire allowed = to == AT_HOLD || to == AT_DATA || (to == AT_MEMORY && there) || (to == AT_WORD && idle && there);
  wire good = write && whole && allowed;
  assign s_axi_awready = write;
  assign s_axi_wready = write;
  assign s_axi_bvalid = bvalid_q;
  assign s_axi_bresp = bad_write_q ? SLVERR : OKAY;
  assign w_addr = s_axi_wdata[ADDR_W-1:0];
  assign w_data = word_q;
  genvar n;
  generate
    for (n = 0; n < N_MEMORIES; n = n + 1) begin : g_memory
      assign w_en[n] = good && to == AT_WORD && {{32 - MEMORY_W{1'b0}}, memory_q} == n;
    end
    if (DATA_W > 32) begin : g_wide
      always @(posedge clk) if (good && to == AT_DATA) word_q <= {s_axi_wdata, word_q[DATA_W-1:32]};
    end else begin : g_narrow
      always @(posedge clk) if (good && to == AT_DATA) word_q <= s_axi_wdata;
    end
  endgenerate

  wire read = s_axi_arvalid && !rvalid_q && !rst;
  wire [9:0] from = s_axi_araddr[11:2];
  assign s_axi_arready = read;
  assign s_axi_rvalid = rvalid_q;
  assign s_axi_rdata = rdata_q;
  assign s_axi_rresp = bad_read_q ? SLVERR : OKAY;
  wire unused = ^s_axi_araddr[1:0];

  always @(posedge clk) begin
    if (write) bad_write_q <= !good;
    bvalid_q <= write || (bvalid_q && !s_axi_bready);
    if (good && to == AT_HOLD) hold_q <= s_axi_wdata[0];
    if (good && to == AT_MEMORY) memory_q <= s_axi_wdata[MEMORY_W-1:0];
    rvalid_q <= read || (rvalid_q && !s_axi_rready);
    if (read) begin
      bad_read_q <= 1'b0;
      case (from)
        AT_IDENTITY: rdata_q <= IDENTITY;
        AT_HOLD: rdata_q <= {31'd0, hold_q};
        AT_STATUS: rdata_q <= {30'd0, err, idle};
        AT_FRAMES: rdata_q <= frames;
        AT_MEMORY: rdata_q <= {{32 - MEMORY_W{1'b0}}, memory_q};
        default: begin
          rdata_q <= 0;
          bad_read_q <= 1'b1;
        end
      endcase
    end
    if (rst) begin
      hold_q <= 1'b0;
      memory_q <= 0;
      bvalid_q <= 1'b0;
      rvalid_q <= 1'b0;
    end
  end
endmodule
`default_nettype wire
