// Transposes a stream's beats from element-major to plane-major: wires only.
// m[q * LANES + i] = s[i * PLANES + q]
`default_nettype none
module bnn_planes #(
    parameter LANES = 2,  // elements of a beat
    parameter PLANES = 8  // bits of an element
) (
    input wire [LANES*PLANES-1:0] s_data,
    input wire s_valid,
    output wire s_ready,
    output wire [LANES*PLANES-1:0] m_data,
    output wire m_valid,
    input wire m_ready
);
  assign m_valid = s_valid;
  assign s_ready = m_ready;
  genvar i, q;
  generate
    for (i = 0; i < LANES; i = i + 1) begin : g_lane
      for (q = 0; q < PLANES; q = q + 1) begin : g_plane
        assign m_data[q*LANES+i] = s_data[i*PLANES+q];
      end
    end
  endgenerate
endmodule
`default_nettype wire
