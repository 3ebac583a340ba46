// A reporter for `node --test`: JUnit XML, one file a process, with the file's path in the class name.
// Node's own reporter names every class "test", and a second run in the same command overwrites the first.
import { writeFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

const folder = dirname(fileURLToPath(import.meta.url));
const root = process.env.FORGEHAND_ROOT || process.cwd();

const escape = (text) =>
  String(text)
    .replace(/[\u0000-\u0008\u000b\u000c\u000e-\u001f\ud800-\udfff\ufffe\uffff]/g, '?')
    .replace(/[&<>"\t\n\r]/g, (character) => `&#${character.charCodeAt(0)};`);

const attributes = (pairs) => Object.entries(pairs).map(([key, value]) => ` ${key}="${escape(value)}"`).join('');

const message = (error) => {
  const cause = error?.cause ?? error;
  return String(cause?.stack ?? cause?.message ?? cause ?? 'failed').slice(0, 2000);
};

export default async function* report(source) {
  const names = [];
  const lines = [];
  for await (const { type, data } of source) {
    if (type === 'test:start') {
      names.length = data.nesting;
      names[data.nesting] = data.name;
    }
    if ((type !== 'test:pass' && type !== 'test:fail') || data.details?.type === 'suite') continue;
    const file = data.file ? relative(root, data.file) : '';
    // A file that cannot be loaded is reported as one test that bears the file's path.
    const whole = data.nesting === 0 && data.file && (data.name === data.file || data.file.endsWith(`/${data.name}`));
    const place = [file, ...names.slice(0, data.nesting)].filter(Boolean).join(' > ');
    const open = `<testcase${attributes({
      classname: place,
      name: whole ? file : data.name,
      time: ((data.details?.duration_ms ?? 0) / 1000).toFixed(6),
    })}>`;
    const left = data.skip !== undefined || data.todo !== undefined;
    const failed = `<failure${attributes({ message: message(data.details?.error) })}/>`;
    lines.push(open + (left ? '<skipped/>' : type === 'test:fail' ? failed : '') + '</testcase>');
  }
  const text = `<testsuites><testsuite>\n${lines.join('\n')}\n</testsuite></testsuites>\n`;
  writeFileSync(join(folder, `node-${process.pid}.xml`), text);
}
