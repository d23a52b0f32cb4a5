# Stands in for Vivado and Vitis HLS: knows their commands, looks at what they are given, prints each; all else fails.
#   tclsh recorder.tcl SCRIPT PART ...   with the parts that may be named
set script [lindex $argv 0]
set parts [lrange $argv 1 end]
set board_files_wanted [expr {[info exists ::env(BOARD_FILES)] ? $::env(BOARD_FILES) : ""}]

proc told {args} { puts $args }
proc part {name} { if {[lsearch -exact $::parts $name] < 0} { error "part $name is not the board's" } }
proc file_is_there {name} { if {![file isfile $name]} { error "no file $name" } }
proc options {command known given} {
  # Checks options: those in `known` with 1 take a value; gives the rest.
  array set takes $known
  set rest {}
  for {set n 0} {$n < [llength $given]} {incr n} {
    set word [lindex $given $n]
    if {[string index $word 0] ne "-"} { lappend rest $word; continue }
    if {![info exists takes($word)]} { error "$command has no option $word" }
    if {$takes($word)} { incr n; if {$n == [llength $given]} { error "$word of $command lacks its value" } }
  }
  return $rest
}

# Vitis HLS
proc open_project {args} { told open_project {*}[options open_project {-reset 0} $args] }
proc set_top {name} { told set_top $name }
proc add_files {args} { foreach name [options add_files {-tb 0 -cflags 1 -csimflags 1} $args] { file_is_there $name; told add_files [file tail $name] } }
proc open_solution {args} { told open_solution {*}[options open_solution {-reset 0 -flow_target 1} $args] }
proc set_part {name} { part $name; told set_part $name }
proc create_clock {args} { told create_clock {*}[options create_clock {-period 1 -name 1} $args]; if {[dict get [lrange $args 0 3] -period] <= 0} { error "no period" } }
proc csim_design {args} { options csim_design {-clean 0 -argv 1} $args; told csim_design }
proc csynth_design {} { told csynth_design }
proc cosim_design {args} { options cosim_design {-rtl 1 -trace_level 1} $args; told cosim_design }
proc export_design {args} { options export_design {-format 1 -rtl 1 -ipname 1 -flow 1} $args; told export_design }

# Vivado
proc read_verilog {files} { foreach name $files { file_is_there $name }; told read_verilog [llength $files] }
proc synth_design {args} { options synth_design {-top 1 -part 1 -mode 1 -verilog_define 1} $args; part [dict get $args -part]; told synth_design [dict get $args -top] }
proc get_ports {name} { return $name }
foreach step {opt_design place_design route_design} { proc $step {} "told $step" }
foreach report {report_utilization report_timing_summary report_power} { proc $report {args} "options $report {-file 1 -hierarchical 0} \$args; told $report" }
# Vivado, the IP packager
namespace eval ipx {
  proc open_core {name} { file_is_there $name; told ipx::open_core [file tail $name]; return core }
  proc check_integrity {core} {
    # Every file that the description names is there.
    set from [open $::core_file]; set text [read $from]; close $from
    foreach {all name} [regexp -all -inline {<spirit:name>(src/[^<]+)</spirit:name>} $text] { file_is_there [file join [file dirname $::core_file] $name] }
    told ipx::check_integrity
  }
  proc save_core {core} { told ipx::save_core }
}
rename ipx::open_core ipx::opened
proc ipx::open_core {name} { set ::core_file $name; return [ipx::opened $name] }

# Vivado, projects and block designs: cells, their pins and what is connected twice or to nothing are looked at
set catalogue {processing_system7:5.5 zynq_ultra_ps_e:3.5 axi_dma:7.1 proc_sys_reset:5.0 smartconnect:1.0}
set cells {}
set connected {}
array set interfaces {
  processing_system7 {M_AXI_GP0 S_AXI_HP0} zynq_ultra_ps_e {M_AXI_HPM0_FPD S_AXI_HP0_FPD} proc_sys_reset {}
  axi_dma {M_AXI_MM2S M_AXI_S2MM M_AXIS_MM2S S_AXIS_S2MM S_AXI_LITE} smartconnect {S00_AXI S01_AXI M00_AXI M01_AXI} own {s_axis m_axis s_axi}
}
array set pins {
  processing_system7 {FCLK_CLK0 FCLK_RESET0_N M_AXI_GP0_ACLK S_AXI_HP0_ACLK} zynq_ultra_ps_e {pl_clk0 pl_resetn0 maxihpm0_fpd_aclk saxihp0_fpd_aclk}
  axi_dma {s_axi_lite_aclk m_axi_mm2s_aclk m_axi_s2mm_aclk axi_resetn} smartconnect {aclk aresetn} proc_sys_reset {ext_reset_in slowest_sync_clk peripheral_aresetn} own {aclk aresetn}
}
array set outputs {FCLK_CLK0 1 FCLK_RESET0_N 1 pl_clk0 1 pl_resetn0 1 peripheral_aresetn 1}
proc create_project {args} { set rest [options create_project {-force 0 -part 1} $args]; part [dict get [lrange $args end-1 end] -part]; told create_project [lindex $rest 0] }
proc current_project {} { return project }
proc current_fileset {} { return sources_1 }
proc get_board_parts {args} { options get_board_parts {-quiet 0} $args; return $::board_files }
proc update_ip_catalog {args} { options update_ip_catalog {-rebuild 0} $args; told update_ip_catalog }
proc get_ipdefs {args} {
  set pattern [lindex [options get_ipdefs {-all 0 -quiet 0 -filter 1} $args] 0]
  foreach name $::catalogue { if {[string match $pattern xilinx.com:ip:$name]} { return xilinx.com:ip:$name } }
  return [expr {[info exists ::ip_repository] && [string match "bnnhw:nn:*:1.0" $pattern] ? $pattern : ""}]
}
proc set_property {args} {
  set dict [expr {[lindex $args 0] eq "-dict"}]
  if {[llength $args] != 3} { error "set_property takes 3 words: $args" }
  lassign $args a b c
  if {$dict} { if {[llength $b] % 2} { error "set_property: odd list" } } elseif {$a eq "ip_repo_paths"} { if {![file isfile [lindex $b 0]/component.xml]} { error "no component.xml in $b" }; set ::ip_repository $b }
}
proc get_property {name object} {
  switch $name { VLNV { return $object } PROGRESS { return 100% } DIRECTORY { return $::project/run } STATUS { return done } default { error "no property $name" } }
}
proc create_bd_design {name} { told create_bd_design $name }
proc create_bd_cell {args} {
  set name [lindex [options create_bd_cell {-type 1 -vlnv 1} $args] 0]
  set vlnv [dict get [lrange $args 0 3] -vlnv]
  dict set ::cells $name [expr {[string match xilinx.com:* $vlnv] ? [lindex [split $vlnv :] 2] : "own"}]
  told create_bd_cell $name
  return $name
}
proc apply_bd_automation {args} { options apply_bd_automation {-rule 1 -config 1} $args }
proc pin_of {kind path} {
  lassign [split $path /] cell pin
  if {![dict exists $::cells $cell]} { error "no cell $cell" }
  upvar #0 $kind known
  if {[lsearch -exact $known([dict get $::cells $cell]) $pin] < 0} { error "no pin $path" }
  return $path
}
proc get_bd_pins {path} { pin_of pins $path }
proc get_bd_intf_pins {path} { pin_of interfaces $path }
proc connect {from to} {
  if {[lsearch -exact $::connected $to] >= 0} { error "$to is connected twice" }
  lappend ::connected $to
}
proc connect_bd_net {from to} { connect $from $to }
proc connect_bd_intf_net {from to} { connect $from $from; connect $from $to }
proc get_bd_addr_spaces {name} { return $name }
proc get_bd_addr_segs {args} { return [lindex [options get_bd_addr_segs {-quiet 0} $args] 0] }
proc assign_bd_address {args} { options assign_bd_address {-offset 1 -range 1 -target_address_space 1 -force 0} $args; if {[llength $args]} { told assign_bd_address [dict get [lrange $args 0 5] -offset] } }
proc exclude_bd_addr_seg {args} { options exclude_bd_addr_seg {-target_address_space 1} $args }
proc validate_bd_design {} {
  foreach {cell kind} $::cells {
    foreach pin $::pins($kind) { if {![info exists ::outputs($pin)] && [lsearch -exact $::connected $cell/$pin] < 0} { error "$cell/$pin is not connected" } }
    if {$kind eq "axi_dma"} { foreach pin $::interfaces($kind) { if {[lsearch -exact $::connected $cell/$pin] < 0} { error "$cell/$pin is not connected" } } }
  }
  told validate_bd_design
}
proc save_bd_design {} { told save_bd_design }
proc get_files {name} { return $name }
proc generate_target {args} { told generate_target }
proc make_wrapper {args} { options make_wrapper {-files 1 -top 0 -import 0 -fileset 1} $args; told make_wrapper }
proc update_compile_order {args} { options update_compile_order {-fileset 1} $args }
proc launch_runs {args} { told launch_runs {*}[options launch_runs {-to_step 1 -jobs 1} $args]; if {[lindex $args 0] eq "impl_1"} { made } }
proc made {} {
  # What an implementation leaves.
  foreach name [list $::project/run/system_wrapper.bit $::project/system.gen/sources_1/bd/system/hw_handoff/system.hwh] { file mkdir [file dirname $name]; close [open $name w] }
}
proc wait_on_run {name} {}
proc get_runs {name} { return $name }
proc open_run {name} { told open_run $name }
proc write_hw_platform {args} { told write_hw_platform {*}[lmap name [options write_hw_platform {-fixed 0 -include_bit 0 -force 0} $args] { file tail $name }] }
proc read_xdc {name} { file_is_there $name; told read_xdc [file tail $name] }
proc write_bitstream {args} { told write_bitstream {*}[lmap name [options write_bitstream {-force 0} $args] { file tail $name }] }
set board_files $board_files_wanted

proc write_checkpoint {args} { told write_checkpoint {*}[options write_checkpoint {-force 0} $args] }

proc unknown {args} { error "unknown command [lindex $args 0]" }
if {[catch {source $script} message]} {
  puts stderr $message
  exit 1
}
