# The processor of Zynq-7000, for system.tcl. Without board files the bitstream is good for a board that Linux already runs on.
set need_board 0
set control_base 0x40000000
set address_bits 32
set clk ps/FCLK_CLK0
set rst_n ps/FCLK_RESET0_N
set ps_master ps/M_AXI_GP0
set ps_slave ps/S_AXI_HP0
set ps_clocks {ps/M_AXI_GP0_ACLK ps/S_AXI_HP0_ACLK}

proc processor {clock_mhz preset} {
  set ps [cell ps processing_system7]
  apply_bd_automation -rule xilinx.com:bd_rule:processing_system7 -config [list make_external "FIXED_IO, DDR" apply_board_preset $preset Master Disable Slave Disable] $ps
  set_property -dict [list CONFIG.PCW_USE_M_AXI_GP0 1 CONFIG.PCW_USE_S_AXI_HP0 1 CONFIG.PCW_S_AXI_HP0_DATA_WIDTH 64 CONFIG.PCW_EN_CLK0_PORT 1 CONFIG.PCW_EN_RST0_PORT 1] $ps
  if {!$preset} { set_property CONFIG.PCW_CRYSTAL_PERIPHERAL_FREQMHZ 50 $ps }
  set_property CONFIG.PCW_FPGA0_PERIPHERAL_FREQMHZ $clock_mhz $ps
}
proc only_ddr {} {}
