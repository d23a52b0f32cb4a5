# Block design of a processor, an AXI DMA (simple mode) and the network, to the bitstream. vivado_board.tcl says for what; cells are named as the host driver expects.
set name system
set project $here/project
set out $here/bitstream

proc vlnv {name} {
  # The newest version in this Vivado of an IP of Xilinx.
  set found [lsort -dictionary [get_ipdefs -all -quiet "xilinx.com:ip:$name:*"]]
  if {[llength $found] == 0} { error "no IP $name in the catalogue" }
  return [get_property VLNV [get_ipdefs -all [lindex $found end]]]
}
proc cell {name ip {settings {}}} {
  set made [create_bd_cell -type ip -vlnv [vlnv $ip] $name]
  if {[llength $settings]} { set_property -dict $settings $made }
  return $made
}

file mkdir $out
create_project -force $name $project -part $part
set board ""
foreach glob $board_globs {
  set found [lsort -dictionary [get_board_parts -quiet $glob]]
  if {[llength $found]} { set board [lindex $found end]; break }
}
if {$board ne ""} {
  set_property board_part $board [current_project]
} elseif {$need_board} {
  error "no board files for $board_globs: install them in Vivado (Tools, Vivado Store, Boards)"
} else {
  puts "WARNING: no board files for $board_globs: the preset of the processor is not applied"
}
set_property target_language Verilog [current_project]
set_property ip_repo_paths [list $here/ip] [current_project]
update_ip_catalog -rebuild
if {[llength [get_ipdefs -all -quiet $ip_vlnv]] == 0} { error "$ip_vlnv is not in $here/ip" }

create_bd_design $name
processor $clock_mhz [expr {$board ne "" ? 1 : 0}]
create_bd_cell -type ip -vlnv $ip_vlnv accelerator

# A transfer a frame. Memory sides of at least 32 bits, as wide as the streams; buffers are aligned, so no realignment engine.
set in_bits [expr {8 * $s_bytes}]
set out_bits [expr {8 * $m_bytes}]
set dma [cell axi_dma_0 axi_dma]
set_property -dict [list CONFIG.c_include_sg 0 CONFIG.c_sg_include_stscntrl_strm 0 CONFIG.c_include_mm2s 1 CONFIG.c_include_s2mm 1 CONFIG.c_micro_dma 0] $dma
set_property -dict [list CONFIG.c_sg_length_width 26 CONFIG.c_addr_width $address_bits CONFIG.c_include_mm2s_dre 0 CONFIG.c_include_s2mm_dre 0 CONFIG.c_m_axi_mm2s_data_width [expr {max(32, $in_bits)}] CONFIG.c_m_axis_mm2s_tdata_width $in_bits CONFIG.c_mm2s_burst_size 16 CONFIG.c_s2mm_burst_size 16] $dma
# These two are derived from what is connected unless they are said to be the user's.
set_property CONFIG.c_m_axi_s2mm_data_width.VALUE_SRC USER $dma
set_property CONFIG.c_s_axis_s2mm_tdata_width.VALUE_SRC USER $dma
set_property -dict [list CONFIG.c_m_axi_s2mm_data_width [expr {max(32, $out_bits)}] CONFIG.c_s_axis_s2mm_tdata_width $out_bits] $dma

cell reset proc_sys_reset
cell control smartconnect [list CONFIG.NUM_SI 1 CONFIG.NUM_MI [expr {1 + $has_control}] CONFIG.NUM_CLKS 1]
cell memory smartconnect [list CONFIG.NUM_SI 2 CONFIG.NUM_MI 1 CONFIG.NUM_CLKS 1]
connect_bd_net [get_bd_pins $rst_n] [get_bd_pins reset/ext_reset_in]
foreach pin [concat $ps_clocks {reset/slowest_sync_clk control/aclk memory/aclk accelerator/aclk axi_dma_0/s_axi_lite_aclk axi_dma_0/m_axi_mm2s_aclk axi_dma_0/m_axi_s2mm_aclk}] {
  connect_bd_net [get_bd_pins $clk] [get_bd_pins $pin]
}
foreach pin {control/aresetn memory/aresetn accelerator/aresetn axi_dma_0/axi_resetn} { connect_bd_net [get_bd_pins reset/peripheral_aresetn] [get_bd_pins $pin] }
foreach {from to} [concat [list $ps_master control/S00_AXI memory/M00_AXI $ps_slave] {
  control/M00_AXI axi_dma_0/S_AXI_LITE
  axi_dma_0/M_AXI_MM2S memory/S00_AXI
  axi_dma_0/M_AXI_S2MM memory/S01_AXI
  axi_dma_0/M_AXIS_MM2S accelerator/s_axis
  accelerator/m_axis axi_dma_0/S_AXIS_S2MM
}] { connect_bd_intf_net [get_bd_intf_pins $from] [get_bd_intf_pins $to] }

# Registers where the C driver is told to look: the DMA first, the network 64 KiB behind.
set space [get_bd_addr_spaces ps/Data]
assign_bd_address -offset $control_base -range 65536 -target_address_space $space [get_bd_addr_segs axi_dma_0/S_AXI_LITE/Reg] -force
if {$has_control} {
  connect_bd_intf_net [get_bd_intf_pins control/M01_AXI] [get_bd_intf_pins accelerator/s_axi]
  assign_bd_address -offset [format 0x%X [expr {$control_base + 0x10000}]] -range 4096 -target_address_space $space [lindex [get_bd_addr_segs accelerator/s_axi/*] 0] -force
}
assign_bd_address
only_ddr
validate_bd_design
save_bd_design

generate_target all [get_files $name.bd]
make_wrapper -files [get_files $name.bd] -top -import -fileset sources_1
update_compile_order -fileset sources_1
set_property top ${name}_wrapper [current_fileset]
foreach {run arguments} {synth_1 {} impl_1 {-to_step write_bitstream}} {
  launch_runs $run {*}$arguments -jobs $jobs
  wait_on_run $run
  if {[get_property PROGRESS [get_runs $run]] ne "100%"} { error "$run: [get_property STATUS [get_runs $run]]" }
}

open_run impl_1
report_utilization -file $out/utilization.rpt
report_utilization -hierarchical -file $out/hierarchy.rpt
report_timing_summary -file $out/timing.rpt
report_power -file $out/power.rpt
file copy -force [get_property DIRECTORY [get_runs impl_1]]/${name}_wrapper.bit $out/$name.bit
# Since 2020.2 under .gen, before under .srcs
set handoff [glob -nocomplain $project/$name.gen/sources_1/bd/$name/hw_handoff/$name.hwh $project/$name.srcs/sources_1/bd/$name/hw_handoff/$name.hwh]
if {[llength $handoff] == 0} { error "no $name.hwh in $project" }
file copy -force [lindex $handoff 0] $out/$name.hwh
write_hw_platform -fixed -include_bit -force $out/$name.xsa
exit
