# The processor of Zynq UltraScale+, for system.tcl. It needs the board's files: without a preset there is no DDR.
set need_board 1
set control_base 0xA0000000
set address_bits 40
set clk ps/pl_clk0
set rst_n ps/pl_resetn0
set ps_master ps/M_AXI_HPM0_FPD
set ps_slave ps/S_AXI_HP0_FPD
set ps_clocks {ps/maxihpm0_fpd_aclk ps/saxihp0_fpd_aclk}

proc processor {clock_mhz preset} {
  set ps [cell ps zynq_ultra_ps_e]
  apply_bd_automation -rule xilinx.com:bd_rule:zynq_ultra_ps_e -config {apply_board_preset 1} $ps
  set_property -dict [list CONFIG.PSU__USE__M_AXI_GP0 1 CONFIG.PSU__USE__M_AXI_GP1 0 CONFIG.PSU__USE__M_AXI_GP2 0 CONFIG.PSU__USE__S_AXI_GP2 1 CONFIG.PSU__USE__IRQ0 0 CONFIG.PSU__FPGA_PL0_ENABLE 1 CONFIG.PSU__CRL_APB__PL0_REF_CTRL__FREQMHZ $clock_mhz] $ps
}
proc only_ddr {} {
  # What else the slave port shows (QSPI, OCM) is not the DMA's.
  foreach space {Data_MM2S Data_S2MM} {
    foreach seg [get_bd_addr_segs -quiet ps/SAXIGP2/*] {
      if {![string match *DDR* $seg]} { exclude_bd_addr_seg -target_address_space [get_bd_addr_spaces axi_dma_0/$space] $seg }
    }
  }
}
