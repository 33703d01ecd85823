import tseslint from 'typescript-eslint';

const timers = ['setTimeout', 'setInterval', 'setImmediate'].map((name) => ({
  name,
  message: 'Time is passed in: take a Clock (@k8ts/base).',
}));
const wallClock = [
  { object: 'Date', property: 'now', message: 'Time is passed in: take a Clock (@k8ts/base).' },
  { object: 'performance', property: 'now', message: 'Time is passed in: take a Clock (@k8ts/base).' },
  { object: 'Math', property: 'random', message: 'Randomness is passed in: take a Random (@k8ts/base).' },
];

export default tseslint.config(
  { ignores: ['**/dist/**', '**/node_modules/**', 'packages/api/src/generated/**', 'examples/**/work/**'] },
  ...tseslint.configs.recommendedTypeChecked.map((config) => ({ ...config, files: ['**/*.ts'] })),
  {
    files: ['**/*.ts'],
    languageOptions: { parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname } },
    rules: {
      '@typescript-eslint/no-floating-promises': 'error',
      '@typescript-eslint/no-misused-promises': ['error', { checksVoidReturn: { arguments: false } }],
      '@typescript-eslint/consistent-type-imports': 'error',
      '@typescript-eslint/no-unused-vars': ['error', { argsIgnorePattern: '^_', varsIgnorePattern: '^_' }],
      '@typescript-eslint/no-explicit-any': 'error',
      '@typescript-eslint/require-await': 'off',
      '@typescript-eslint/switch-exhaustiveness-check': [
        'error',
        { considerDefaultExhaustiveForUnions: true },
      ],
      '@typescript-eslint/prefer-promise-reject-errors': [
        'error',
        { allowEmptyReject: false, allowThrowingUnknown: true },
      ],
      '@typescript-eslint/only-throw-error': [
        'error',
        { allowThrowingUnknown: true, allowThrowingAny: false },
      ],
      eqeqeq: 'error',
      'no-restricted-globals': ['error', ...timers],
      'no-restricted-properties': ['error', ...wallClock],
      'no-restricted-syntax': [
        'error',
        {
          selector: "NewExpression[callee.name='Date'][arguments.length=0]",
          message: 'Time is passed in: new Date(clock.now()).',
        },
      ],
    },
  },
  {
    // Where time and chance enter the program, and where measuring or waiting for real things is the point.
    files: [
      'packages/base/src/**',
      '**/*.test.ts',
      '**/*.isolated.ts',
      '**/testing/**',
      'tests/**',
      'bench/**',
      'examples/**',
      'tools/**',
    ],
    rules: {
      'no-restricted-globals': 'off',
      'no-restricted-properties': 'off',
      'no-restricted-syntax': 'off',
      '@typescript-eslint/unbound-method': 'off',
    },
  },
);
