// The page: who is here decides what is shown, and every part is told of it.

import { Api } from './api.js';
import { ConnectionBanner } from './connection_banner.js';
import { closeDialogs } from './dialogs.js';
import { busy, byId, setText, show } from './dom.js';
import { Live } from './live.js';
import { LogInForm } from './log_in_form.js';
import { NewTaskForm } from './new_task_form.js';
import { sentence } from './problems.js';
import { Session } from './session.js';
import { SessionsPanel } from './sessions_panel.js';
import { TaskList } from './task_list.js';
import { Tasks } from './tasks.js';
import { ToolsPanel } from './tools_panel.js';

/** A start that is quicker than this shows no “Loading”. */
const PATIENCE_MS = 200;
const VIEWS = ['loading', 'unreachable', 'log-in', 'home'];

const session = new Session();
const api = new Api(session);
const tasks = new Tasks();
const live = new Live(session);
const list = new TaskList(tasks, api);
const logInForm = new LogInForm(session);
const newTask = new NewTaskForm(tasks, api);
const banner = new ConnectionBanner(live);
const sessions = new SessionsPanel(api, logOut);
const tools = new ToolsPanel(session);

let patience;
let lastUser;

function view(name) {
  clearTimeout(patience);
  for (const id of VIEWS) byId(id).hidden = id !== name;
  const isHome = name === 'home';
  byId('account').hidden = !isHome;
  byId('state').hidden = !isHome;
  document.title = isHome ? `${session.user.username} · Warren` : 'Warren';
}

function clear() {
  closeDialogs();
  tasks.clear();
  list.clear();
  newTask.clear();
  sessions.clear();
  tools.clear();
  banner.clear();
}

session.addEventListener('begun', () => {
  if (lastUser !== undefined && lastUser !== session.user.id) {
    // Somebody else: answers to the one before may still be on their way, and should find nobody here.
    location.reload();
    return;
  }
  lastUser = session.user.id;
  clear();
  setText(byId('who'), session.user.username);
  byId('who').title = session.user.email ?? '';
  view('home');
  byId('tasks-heading').focus({ preventScroll: true });
  live.start();
  sessions.load();
});

session.addEventListener('over', ({ detail }) => {
  live.stop();
  // Nothing of whoever was here stays in the document.
  clear();
  setText(byId('who'), '');
  view('log-in');
  logInForm.open(detail.reason);
});

live.addEventListener('message', ({ detail }) => {
  if (detail.type === 'tasks') list.replace(detail.tasks, detail.more);
  if (detail.type === 'changed') tasks.put(detail.task);
  if (detail.type === 'deleted') tasks.remove(detail.id, detail.version);
});

async function logOut() {
  try {
    await session.logOut();
  } catch (problem) {
    show(byId('sessions-fault'), `You are still logged in. ${sentence(problem)}`);
    byId('sessions-fault').scrollIntoView({ block: 'nearest' });
  }
}

async function start() {
  patience = setTimeout(() => view('loading'), PATIENCE_MS);
  try {
    if (await session.resume()) return;
  } catch (problem) {
    setText(byId('unreachable-text'), sentence(problem));
    view('unreachable');
    byId('start-again').focus();
    return;
  }
  // A session that was over has shown why.
  if (byId('log-in').hidden) {
    view('log-in');
    logInForm.open();
  }
}

byId('log-out').addEventListener('click', () => busy(byId('log-out'), logOut));
byId('start-again').addEventListener('click', () => busy(byId('start-again'), start));
// A page that the browser had put aside, and shows again as it was.
addEventListener('pageshow', ({ persisted }) => {
  if (persisted && session.isBegun) session.renew().catch(() => {});
});

await start();
