/** The name of a browser, read from its User-Agent. Pure. */

/**
 * The first match is used, because Edge and Opera also name Chrome, and Chrome also names Safari.
 * @type {[RegExp, string][]}
 */
const PROGRAMS = [
  [/OBS\/([\d.]+)/, 'OBS'],
  [/Edg\w*\/(\d+)/, 'Edge'],
  [/OPR\/(\d+)/, 'Opera'],
  [/Firefox\/(\d+)/, 'Firefox'],
  [/FxiOS\/(\d+)/, 'Firefox'],
  [/CriOS\/(\d+)/, 'Chrome'],
  [/Chrome\/(\d+)/, 'Chrome'],
  [/Version\/(\d+)[\d.]* (?:Mobile\/\S+ )?Safari/, 'Safari'],
];

/** @type {[RegExp, string][]} */
const SYSTEMS = [
  [/iPhone|iPad|iPod/, 'iOS'],
  [/Android/, 'Android'],
  [/Windows/, 'Windows'],
  [/Mac OS X|Macintosh/, 'macOS'],
  [/CrOS/, 'ChromeOS'],
  [/Linux|X11/, 'Linux'],
];

/**
 * The name of a browser, for example "OBS 30.2.3, Windows". An unknown User-Agent is returned
 * unchanged.
 * @param {string} agent
 */
export function agentName(agent) {
  const program = PROGRAMS.find(([pattern]) => pattern.test(agent));
  if (!program) return agent || '–';
  const system = SYSTEMS.find(([pattern]) => pattern.test(agent));
  const name = `${program[1]} ${program[0].exec(agent)?.[1] ?? ''}`;
  return system ? `${name}, ${system[1]}` : name;
}
