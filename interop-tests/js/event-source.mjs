// A page in Chromium that follows a node by `EventSource`, as any page would: from another origin, with what the
// browser itself does when a stream ends.
//
//   node event-source.mjs CHROMIUM FOLDER
//
// Prints the origin of the page; then takes the address of the stream from its standard input, and prints a line of
// JSON for each event that the page hears: the event, and its id. It ends when its input does.

import { spawn } from 'node:child_process';
import { createServer } from 'node:http';
import { createInterface } from 'node:readline';
import WebSocket from 'ws';

const [chromium, folder] = process.argv.slice(2);

const page = createServer((_, answer) => {
  answer.setHeader('content-type', 'text/html');
  answer.end('<!doctype html><title>page</title>');
});
await new Promise((listening) => page.listen(0, '127.0.0.1', listening));
const origin = `http://127.0.0.1:${page.address().port}`;
console.log(origin);

const input = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const stream = (await input.next()).value;

const browser = spawn(
  chromium,
  [
    '--headless=new',
    '--no-sandbox',
    '--disable-gpu',
    '--disable-dev-shm-usage',
    '--no-first-run',
    `--user-data-dir=${folder}`,
    '--remote-debugging-port=0',
    'about:blank',
  ],
  { stdio: ['ignore', 'ignore', 'pipe'] },
);
const address = await new Promise((found, failed) => {
  createInterface({ input: browser.stderr }).on('line', (line) => {
    const [, address] = line.match(/^DevTools listening on (ws:.*)$/) ?? [];
    if (address) found(address);
  });
  browser.on('exit', (code) => failed(new Error(`chromium ended with ${code}`)));
});
browser.removeAllListeners('exit');

const tools = new WebSocket(address);
await new Promise((open) => tools.on('open', open));
const asked = new Map();
let number = 0;
let loaded;
const isLoaded = new Promise((done) => {
  loaded = done;
});
const ask = (method, params = {}, sessionId) =>
  new Promise((done, failed) => {
    number += 1;
    asked.set(number, { done, failed });
    tools.send(JSON.stringify({ id: number, method, params, sessionId }));
  });
tools.on('message', (text) => {
  const message = JSON.parse(text);
  if (message.method === 'Runtime.bindingCalled') {
    console.log(message.params.payload);
    return;
  }
  if (message.method === 'Page.loadEventFired') loaded();
  const { done, failed } = asked.get(message.id) ?? {};
  if (message.error) failed?.(new Error(message.error.message));
  else done?.(message.result);
});

const { targetId } = await ask('Target.createTarget', { url: 'about:blank' });
const { sessionId } = await ask('Target.attachToTarget', { targetId, flatten: true });
await ask('Page.enable', {}, sessionId);
await ask('Runtime.enable', {}, sessionId);
await ask('Runtime.addBinding', { name: 'heard' }, sessionId);
await ask('Page.navigate', { url: `${origin}/` }, sessionId);
await isLoaded;
const script = `
  const source = new EventSource(${JSON.stringify(stream)});
  source.onmessage = ({ data, lastEventId }) =>
    heard(JSON.stringify({ id: lastEventId, event: JSON.parse(data) }));`;
await ask('Runtime.evaluate', { expression: script }, sessionId);

await input.next();
browser.kill('SIGKILL');
process.exit(0);
