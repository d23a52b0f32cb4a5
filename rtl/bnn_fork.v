// Sends each beat to every one of N_OUT readers, each when it is ready: none waits for another's ready.
// One beat a cycle; the next beat comes when the last reader has taken this one.
`default_nettype none
module bnn_fork #(
    parameter DATA_W = 8,  // bits of a beat
    parameter N_OUT = 2  // readers
) (
    input wire clk,
    input wire rst,
    input wire [DATA_W-1:0] s_data,
    input wire s_valid,
    output wire s_ready,
    output wire [DATA_W-1:0] m_data,
    output wire [N_OUT-1:0] m_valid,
    input wire [N_OUT-1:0] m_ready
);
  reg [N_OUT-1:0] taken_q;  // readers that have this beat already
  wire [N_OUT-1:0] served = taken_q | m_ready;
  assign m_data = s_data;
  assign m_valid = s_valid ? ~taken_q : {N_OUT{1'b0}};
  assign s_ready = &served;
  always @(posedge clk) begin
    if (s_valid) taken_q <= s_ready ? {N_OUT{1'b0}} : served;
    if (rst) taken_q <= 0;
  end
endmodule
`default_nettype wire
