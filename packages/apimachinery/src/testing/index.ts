export { randomValue, tampered } from './random-object.ts';
