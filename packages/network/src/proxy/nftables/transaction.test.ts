import { describe, expect, it } from 'vitest';

import { RuleBook, differenceCommands, fullCommands } from './transaction.ts';
import { NO_RULES } from './service-rules.ts';
import type { ServiceRules } from './service-rules.ts';

const TABLE = 'ip t';
const rules = (
  chains: Record<string, readonly string[]>,
  elements: Record<string, string> = {},
  sets: Record<string, number> = {},
): ServiceRules => ({
  chains: new Map(Object.entries(chains)),
  elements: new Map(Object.entries(elements)),
  affinitySets: new Map(Object.entries(sets)),
});
const put = (book: RuleBook, changes: Record<string, ServiceRules>): string[] =>
  differenceCommands(TABLE, book.replace(new Map(Object.entries(changes))));

describe('transactions', () => {
  it('write a Service, then only what changes of it, and empty what is left of it', () => {
    const book = new RuleBook(TABLE);
    const before = rules(
      { 'service-x/y': ['a', 'b'], 'endpoint-x/1': ['c'] },
      { 'service-ips k': 'goto service-x/y' },
    );
    expect(put(book, { 'x/y': before })).toEqual([
      'add chain ip t service-x/y',
      'flush chain ip t service-x/y',
      'add chain ip t endpoint-x/1',
      'flush chain ip t endpoint-x/1',
      'add rule ip t service-x/y a',
      'add rule ip t service-x/y b',
      'add rule ip t endpoint-x/1 c',
      'add element ip t service-ips { k : goto service-x/y }',
    ]);
    expect(put(book, { 'x/y': before })).toEqual([]);
    const after = rules(
      { 'service-x/y': ['a', 'd'], 'endpoint-x/2': ['e'] },
      { 'service-ips k': 'goto service-x/y' },
    );
    expect(put(book, { 'x/y': after })).toEqual([
      'add chain ip t service-x/y',
      'flush chain ip t service-x/y',
      'add chain ip t endpoint-x/2',
      'flush chain ip t endpoint-x/2',
      'add chain ip t endpoint-x/1',
      'flush chain ip t endpoint-x/1',
      'add rule ip t service-x/y a',
      'add rule ip t service-x/y d',
      'add rule ip t endpoint-x/2 e',
    ]);
    expect(put(book, { 'x/y': NO_RULES })).toEqual([
      'delete element ip t service-ips { k : goto service-x/y }',
      'add chain ip t service-x/y',
      'flush chain ip t service-x/y',
      'add chain ip t endpoint-x/2',
      'flush chain ip t endpoint-x/2',
    ]);
    expect(book.all()).toEqual({ rules: [], elements: [] });
  });

  it('give an address that two Services claim to the first by name, and on to the other', () => {
    const book = new RuleBook(TABLE);
    const claim = (chain: string): ServiceRules =>
      rules({}, { 'service-ips k': `goto ${chain}`, 'cluster-ips i': '' });
    expect(put(book, { b: claim('b') })).toEqual([
      'add element ip t service-ips { k : goto b }',
      'add element ip t cluster-ips { i }',
    ]);
    expect(put(book, { a: claim('a') })).toEqual([
      'delete element ip t service-ips { k : goto b }',
      'add element ip t service-ips { k : goto a }',
    ]);
    expect(put(book, { c: claim('c') })).toEqual([]);
    expect(put(book, { a: NO_RULES, b: NO_RULES })).toEqual([
      'delete element ip t service-ips { k : goto a }',
      'add element ip t service-ips { k : goto c }',
    ]);
  });

  it('make an affinity set anew when its timeout changes, with the chains that name it', () => {
    const book = new RuleBook(TABLE);
    const sticky = (timeout: number): ServiceRules =>
      rules(
        {
          's/a': ['ip saddr @affinity-1 goto e/a'],
          'e/a': ['update @affinity-1 { ip saddr }'],
          'o/a': ['x'],
        },
        {},
        { 'affinity-1': timeout },
      );
    put(book, { a: sticky(60) });
    expect(put(book, { a: sticky(90) })).toEqual([
      'add chain ip t s/a',
      'flush chain ip t s/a',
      'add chain ip t e/a',
      'flush chain ip t e/a',
      'delete set ip t affinity-1',
      'add set ip t affinity-1 { type ipv4_addr; flags dynamic,timeout; timeout 90s; }',
      'add rule ip t s/a ip saddr @affinity-1 goto e/a',
      'add rule ip t e/a update @affinity-1 { ip saddr }',
    ]);
  });

  it('take over what a table has: sets that fit keep their members, chains of nobody are emptied', () => {
    const book = new RuleBook('ip6 t');
    put(book, {
      a: rules({ 's/a': ['r'] }, { 'service-ips k': 'goto s/a' }, { 'affinity-1': 60, 'affinity-2': 60 }),
    });
    const existing = {
      chains: new Set(['s/a', 's/old']),
      sets: new Map([
        ['affinity-1', 60],
        ['affinity-3', 60],
      ]),
    };
    expect(fullCommands('ip6 t', book, existing)).toEqual({
      commands: [
        'add chain ip6 t s/a',
        'flush chain ip6 t s/a',
        'add chain ip6 t s/old',
        'flush chain ip6 t s/old',
        'delete set ip6 t affinity-3',
        'add set ip6 t affinity-2 { type ipv6_addr; flags dynamic,timeout; timeout 60s; }',
        'add rule ip6 t s/a r',
        'add element ip6 t service-ips { k : goto s/a }',
      ],
      staleChains: ['s/old'],
    });
  });
});
