/**
 * The import rule of docs/architecture.md: a room imports only from lower floors (or itself).
 * The floors stand here, lowest first, and nowhere else.
 */
const floors = [
  ['signal'],
  ['stats', 'transport', 'capture', 'plant'],
  ['instruments', 'dut', 'calibration'],
  ['sync'],
  ['scoring'],
  ['audit'],
  ['report'],
  ['rig', 'live'],
  ['cli'],
];

const forbidden = floors.flatMap((rooms, level) =>
  rooms.map((room) => {
    const allowed = [room, ...floors.slice(0, level).flat()];
    return {
      name: `floor-${room}`,
      severity: 'error',
      comment: `src/${room} may import only from: ${allowed.join(', ')}`,
      from: { path: `^src/${room}/` },
      to: { path: '^src/', pathNot: `^src/(${allowed.join('|')})/` },
    };
  }),
);

module.exports = {
  forbidden: [
    ...forbidden,
    {
      name: 'known-rooms',
      severity: 'error',
      comment: 'every folder of src is a room with a floor in .dependency-cruiser.cjs',
      from: { path: '^src/', pathNot: `^src/(index\\.ts$|(${floors.flat().join('|')})/)` },
      to: {},
    },
    {
      name: 'no-circular',
      severity: 'error',
      from: {},
      to: { circular: true, viaOnly: { pathNot: '^node_modules/' } },
    },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    tsPreCompilationDeps: true,
    parser: 'swc',
    enhancedResolveOptions: { extensions: ['.ts', '.js'] },
  },
};
