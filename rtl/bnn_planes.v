// Transposes a stream's beats from element-major to plane-major: wires only.
// m[q * LANES + i] = s[i * ELEM_W + q], the low PLANES bits of each element
`default_nettype none
module bnn_planes #(
    parameter LANES = 2,  // elements of a beat
    parameter PLANES = 8, // bits of an element that go on
    parameter ELEM_W = 8  // all bits of an element
) (
    input wire [LANES*ELEM_W-1:0] s_data,
    input wire s_valid,
    output wire s_ready,
    output wire [LANES*PLANES-1:0] m_data,
    output wire m_valid,
    input wire m_ready
);
  assign m_valid = s_valid;
  assign s_ready = m_ready;
  wire unused = ^s_data;
  genvar i, q;
  generate
    for (i = 0; i < LANES; i = i + 1) begin : g_lane
      for (q = 0; q < PLANES; q = q + 1) begin : g_plane
        assign m_data[q*LANES+i] = s_data[i*ELEM_W+q];
      end
    end
  endgenerate
endmodule
`default_nettype wire
