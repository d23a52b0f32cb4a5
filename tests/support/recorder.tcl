# Stands in for Vivado and Vitis HLS: knows their commands, looks at what they are given, prints each; all else fails.
#   tclsh recorder.tcl SCRIPT PART ...   with the parts that may be named
set script [lindex $argv 0]
set parts [lrange $argv 1 end]

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
proc write_checkpoint {args} { told write_checkpoint {*}[options write_checkpoint {-force 0} $args] }

proc unknown {args} { error "unknown command [lindex $args 0]" }
if {[catch {source $script} message]} {
  puts stderr $message
  exit 1
}
