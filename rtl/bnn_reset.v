// Active-high reset from an active-low one, registered once.
`default_nettype none
module bnn_reset (
    input wire clk,
    input wire aresetn,
    output reg rst
);
  always @(posedge clk) rst <= !aresetn;
endmodule
`default_nettype wire
